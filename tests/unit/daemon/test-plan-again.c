/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On the recorded machine "ram2": a library that has something against the first look is asked again, and only its own word takes that back. It is
 * scripted here, in the process that asks it, in front of libdaxctl. */
#include <daxctl/libdaxctl.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/worker/request.h"
#include "tests/unit/test.h"

static unsigned *n_asked; /* processes that asked it */
static bool dies;         /* the second one */
static pid_t test_pid;

unsigned long long daxctl_dev_get_size(struct daxctl_dev *dev) {
        static unsigned mine;
        unsigned long long (*next)(struct daxctl_dev *) = (unsigned long long (*)(struct daxctl_dev *)) dlsym(RTLD_NEXT, __func__);

        CHECK(next);
        if (getpid() == test_pid)
                return next(dev);
        if (mine == 0)
                mine = ++*n_asked;
        if (mine > 1 && dies)
                raise(SIGKILL);
        return next(dev) + (mine == 1 ? 4096 : 0);
}

static const char *evidence(const Plan *p) {
        json_object *blockers = json_array(p->doc, "blockers");

        for (size_t i = 0; i < json_len(blockers); i++)
                if (streq(json_str(json_at(blockers, i), "code"), "LIBRARIES_DISAGREE"))
                        return json_str(json_at(blockers, i), "evidence");
        return NULL;
}

static Plan *plan(void) {
        _cleanup_json_ json_object *doc = json_tokener_parse("{\"id\": \"1\", \"target\": \"2\"}");
        _cleanup_(request_done) Request request = { 0 };
        WorkerIo io = { .in = -EBADF, .out = STDERR_FILENO };
        Plan *p = NULL;

        *n_asked = 0;
        CHECK_INT(request_understand(&io, doc, &request), 0);
        CHECK_INT(request_plan_removal(&request, &p), 0);
        CHECK_INT(*n_asked, 2);
        return p;
}

int main(void) {
        test_pid = getpid();
        n_asked = mmap(NULL, sizeof(*n_asked), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(n_asked != MAP_FAILED);

        _cleanup_(plan_freep) Plan *taken_back = plan();
        CHECK_STR(evidence(taken_back), NULL);
        dies = true;
        _cleanup_(plan_freep) Plan *stands = plan();
        CHECK(startswith(evidence(stands) ?: "", "libdaxctl reads 0x"));
        CHECK(strstr(evidence(stands), "; asked again it could not be asked: "));
        CHECK_INT(munmap(n_asked, sizeof(*n_asked)), 0);
        return EXIT_SUCCESS;
}
