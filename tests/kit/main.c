/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit/mtc_broker.h"
#include "kit/script.h"

static const char usage[] =
    "usage: mtc [options] FILE.mtc...\n"
    "Runs MQTT scenarios against a broker and says which of its answers are not those expected.\n"
    "\n"
    "  --host HOST        where the broker is (127.0.0.1)\n"
    "  --port N           its port (1883)\n"
    "  --start COMMAND    start it by this shell command instead, on a free port: {port} is the port, {dir} "
    "a\n"
    "                     fresh directory; end it by SIGTERM\n"
    "  --over LAYERS      what is below MQTT: tcp, unix (the socket {dir}/mqtt), tls, ws, wss (tcp)\n"
    "  --broker NAME      whose 'deviates NAME' lines count: those scenarios are expected to fail\n"
    "  --timeout-ms N     how long to wait for what is expected (5000)\n"
    "  --deviant-timeout-ms N  the same where the broker is known to deviate (as long)\n"
    "  -v                 show every packet, not only those of failed scenarios\n"
    "  -h                 this text\n";

struct args {
    struct script_conf conf;
    bool is_unix;
    const char *start;
    bool is_verbose;
};

struct score {
    unsigned passed;
    unsigned failed;
    unsigned deviated;
};

static bool read_number(const char *text, unsigned long max, unsigned long *out)
{
    char *end = NULL;

    *out = strtoul(text, &end, 10);
    if (end != text && *end == '\0' && *out > 0 && *out <= max) return true;
    fprintf(stderr, "mtc: %s is not a number from 1 to %lu\n", text, max);
    return false;
}

static bool read_over(struct args *a, const char *name)
{
    struct link_to *to = &a->conf.to;

    to->is_tls = strcmp(name, "tls") == 0 || strcmp(name, "wss") == 0;
    to->is_websocket = strcmp(name, "ws") == 0 || strcmp(name, "wss") == 0;
    a->is_unix = strcmp(name, "unix") == 0;
    if (to->is_tls || to->is_websocket || a->is_unix || strcmp(name, "tcp") == 0) return true;
    fprintf(stderr, "mtc: %s is none of tcp, unix, tls, ws and wss\n", name);
    return false;
}

static bool read_args(struct args *a, int argc, char **argv)
{
    static const struct option options[] = {
        { "host", required_argument, NULL, 'H' },
        { "port", required_argument, NULL, 'p' },
        { "start", required_argument, NULL, 's' },
        { "broker", required_argument, NULL, 'b' },
        { "timeout-ms", required_argument, NULL, 't' },
        { "deviant-timeout-ms", required_argument, NULL, 'd' },
        { "over", required_argument, NULL, 'o' },
        { 0 },
    };
    unsigned long n = 0;
    int c = 0;

    while ((c = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
        switch (c) {
        case 'H': a->conf.to.host = optarg; break;
        case 's': a->start = optarg; break;
        case 'b': a->conf.broker = optarg; break;
        case 'v': a->is_verbose = true; break;
        case 'p':
            if (!read_number(optarg, 65535, &n)) return false;
            a->conf.to.port = (unsigned)n;
            break;
        case 'o':
            if (!read_over(a, optarg)) return false;
            break;
        case 't':
        case 'd':
            if (!read_number(optarg, 600000, &n)) return false;
            *(c == 't' ? &a->conf.wait_ms : &a->conf.deviant_wait_ms) = (int)n;
            break;
        case 'h': fputs(usage, stdout); exit(0);
        default: return false;
        }
    }
    return optind < argc;
}

static void run_one(const struct args *a, const char *path, unsigned version, struct score *score)
{
    struct script_result r;
    const char *verdict = "ok";
    bool is_wrong = false;

    script_run(&r, &a->conf, path, version);
    bool is_known = r.deviates[0] != '\0';
    if (r.end == SCRIPT_FAILED && is_known) {
        verdict = "deviates";
        score->deviated++;
    } else if (r.end == SCRIPT_PASSED && is_known) {
        verdict = "FAILED, passed although marked as deviating:";
        is_wrong = true;
    } else if (r.end != SCRIPT_PASSED) {
        verdict = "FAILED";
        is_wrong = true;
    }
    if (r.end != SCRIPT_NOT_FOR_VERSION) {
        if (is_wrong || a->is_verbose) fputs(r.report, stdout);
        printf("%s %s (v%u) %s", verdict, path, version, r.title);
        printf(is_known ? " [%s]\n" : "\n", r.deviates);
        score->failed += is_wrong;
        score->passed += r.end == SCRIPT_PASSED && !is_wrong;
    }
    script_result_fini(&r);
}

int main(int argc, char **argv)
{
    struct args a = { .conf = { .to = { .host = "127.0.0.1", .port = 1883 }, .wait_ms = 5000 } };
    struct score score = { 0 };
    struct broker broker;
    char path[BROKER_PATH_MAX + 8];

    if (!read_args(&a, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (a.start != NULL) {
        if (!broker_start(&broker, a.start)) return 2;
        a.conf.to.host = "127.0.0.1";
        a.conf.to.port = broker.port;
        (void)snprintf(path, sizeof path, "%s/mqtt", broker.dir);
        if (a.is_unix) a.conf.to.path = path;
    }
    for (int i = optind; i < argc; i++)
        for (unsigned version = 3; version <= 5; version++) run_one(&a, argv[i], version, &score);

    if (a.start != NULL && !broker_stop(&broker, score.failed > 0)) score.failed++;
    if (score.deviated > 0) printf("%u deviated from the standard, as marked\n", score.deviated);
    printf("%u passed, %u failed\n", score.passed, score.failed);
    return score.failed > 0 || score.passed + score.deviated == 0 ? 1 : 0;
}
