#pragma once

/* Linux calls that Swift's Glibc module leaves out because they hide behind _GNU_SOURCE or their own header. */

#include <netinet/in.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

/* A counter that poll(2) can wait for; non-blocking, closed on exec. -1 with errno on failure. */
static inline int clinux_eventfd(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* How many bytes the peer's TCP has acknowledged on this connection; 0 if the kernel does not say.
   linux/tcp.h, struct tcp_info: tcpi_bytes_acked, 64 bits at offset 120, since Linux 4.1. glibc's own struct tcp_info
   ends before it, and the two cannot be included together. */
static inline uint64_t clinux_bytes_acknowledged(int descriptor) {
    unsigned char info[128];
    socklen_t size = sizeof info;
    uint64_t acknowledged;
    if (getsockopt(descriptor, IPPROTO_TCP, 11 /* TCP_INFO */, info, &size) != 0 || size < sizeof info) return 0;
    memcpy(&acknowledged, info + 120, sizeof acknowledged);
    return acknowledged;
}

/* Names the calling thread; the kernel keeps 15 bytes. */
static inline void clinux_set_thread_name(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* Has a child that is spawned close every descriptor from `first` on. glibc 2.34 */
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int first);
static inline int clinux_close_from(posix_spawn_file_actions_t *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}
