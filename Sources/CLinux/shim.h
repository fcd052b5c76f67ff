#pragma once

/* Linux calls that Swift's Glibc module leaves out because they hide behind _GNU_SOURCE or their own header. */

#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

/* A counter that poll(2) can wait for; non-blocking, closed on exec. -1 with errno on failure. */
static inline int clinux_eventfd(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Names the calling thread; the kernel keeps 15 bytes. */
static inline void clinux_set_thread_name(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}
