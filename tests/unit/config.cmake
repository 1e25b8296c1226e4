# SPDX-License-Identifier: Apache-2.0
unit_test(metrics metrics)
unit_test(sys sys)
unit_test(log log)
unit_test(config config)
unit_test(config_files config)
unit_test(config_listeners config)
unit_test(config_mosquitto config)
unit_test(config_anything config)
