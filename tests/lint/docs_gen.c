/* SPDX-License-Identifier: Apache-2.0 */
/* longlink-docs WHAT: prints the part of the documentation that the tables make. */
#include "auth/options.h"
#include "config/config.h"
#include "config/print.h"
#include "log/log.h"
#include "metrics/metrics.h"
#include "sys/sys.h"
#include <string.h>

static const struct {
    const char *what;
    void (*print)(FILE *to);
} parts[] = {
    { "config", config_print_reference },
    { "sample", config_print_sample },
    { "man", config_print_man },
    { "events", log_print_reference },
    { "metrics", metrics_print_reference },
    { "sys", sys_print_reference },
    { "auth", options_print_reference },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(parts[i].what, argv[1]) != 0) continue;
        parts[i].print(stdout);
        return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
    }
    fputs("usage: longlink-docs config|sample|man|events|metrics|sys|auth\n", stderr);
    return 2;
}
