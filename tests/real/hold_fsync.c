/* hold_fsync FILE PROGRAM ARGUMENT…: runs a program whose fsync and fdatasync do not return while FILE exists: a disk that hangs. By a seccomp
 * filter, since a program that is linked statically or makes its own system calls would not notice a preloaded library. The program keeps
 * this pid, so signals go to it; a child answers for its system calls and ends with it. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HELD_MAX = 1024, LOOK_MS = 50 };

/* Returns the descriptor that the system calls come to, or -1. */
static int listen_to(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fdatasync, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
}

static void let_go(int fd, unsigned long long id) {
    struct seccomp_notif_resp r = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r); /* ENOENT: the caller has gone */
}

static void answer(int fd, const char *file) {
    static unsigned long long held[HELD_MAX];
    size_t n = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, LOOK_MS), holds = access(file, F_OK) == 0;
        if (ready > 0 && p.revents & POLLHUP) return;
        while (n > 0 && !holds) let_go(fd, held[--n]);
        if (ready <= 0 || !(p.revents & POLLIN)) continue;
        struct seccomp_notif call = {0};
        if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &call)) continue;
        if (holds && n < HELD_MAX) held[n++] = call.id;
        else let_go(fd, call.id);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    pid_t program = getpid();
    int fd = listen_to();
    if (fd < 0) {
        perror("seccomp");
        return 126;
    }
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != program) return 0;
        answer(fd, argv[1]);
        return 0;
    }
    close(fd);
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
