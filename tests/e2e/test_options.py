#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What single options do, as far as no other file looks at it. `option: NAME` says which."""
import socket

import kit


class Listeners(kit.Test):
    def test_bind_interface(self):
        # option: bind_interface
        b = self.broker("bind_interface lo", listener="listener 0\nsocket_domain ipv4")
        self.client(b, "c")
        with self.assertRaises(ConnectionRefusedError):  # this machine's as well, but not the interface's first
            socket.create_connection(("127.0.0.2", b.port), kit.WAIT_S)


if __name__ == "__main__":
    kit.main()
