/*
 * What a user process needs of the hart below Linux: floating point, atomics between threads, signals for bad accesses and
 * instructions, misaligned and page-crossing accesses, copy-on-write, counters, sleeping. Prints a line for each.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf recovery;
static volatile int signals;
static uint64_t sum;

static void recover(int number) {
    (void)number;
    signals++;
    siglongjmp(recovery, 1);
}

static void count_user_signal(int number) {
    (void)number;
    signals += 100;
}

static void *add(void *amount) {
    for (int i = 0; i < 20000; i++) __atomic_fetch_add(&sum, (uintptr_t)amount, __ATOMIC_SEQ_CST);
    return NULL;
}

static void floating_point(void) {
    double squares = 0;
    for (int i = 1; i < 200000; i++) squares += 1.0 / ((double)i * i);
    printf("ST pi=%.12f sqrt2=%.15f sin1=%.15f fma=%.17g\n", sqrt(squares * 6), sqrt(2.0), sin(1.0),
           fma(1.0 / 3, 3.0, -1.0));
    float harmonic = 0;
    for (int i = 1; i < 100000; i++) harmonic += 1.0f / i;
    printf("ST harmonicf=%.6f\n", harmonic);
    volatile double negative = -3.7, large = 3e9, huge = 1e18;
    printf("ST cvt %d %u %lld\n", (int)negative, (unsigned)large, (long long)huge);
}

static void threads(void) {
    pthread_t thread[4];
    for (uintptr_t i = 0; i < 4; i++) pthread_create(&thread[i], NULL, add, (void *)(i + 1));
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    printf("ST atomics=%llu\n", (unsigned long long)sum);
}

static void memory(void) {
    signal(SIGSEGV, recover);
    signal(SIGILL, recover);
    signal(SIGUSR1, count_user_signal);
    volatile uintptr_t nowhere = 8;
    if (!sigsetjmp(recovery, 1)) *(volatile int *)nowhere = 1;
    char *area = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(area, 7, 1 << 20);
    mprotect(area, 4096, PROT_READ);
    if (!sigsetjmp(recovery, 1)) area[5] = 1;
    raise(SIGUSR1);
    printf("ST sigs=%d\n", signals);

    memset(area + 8192, 0, 64);
    memcpy(area + 8195, "\1\2\3\4\5\6\7\10", 8);
    printf("ST misaligned=%llx\n", (unsigned long long)*(volatile uint64_t *)(area + 8195));
    *(volatile uint32_t *)(area + 4096 * 3 - 2) = 0xdeadbeef;
    printf("ST crosspage=%x\n", *(volatile uint32_t *)(area + 4096 * 3 - 2));

    fflush(stdout);
    int child = fork(), status;
    if (child == 0) {
        area[70000] = 9;
        _exit(42);
    }
    waitpid(child, &status, 0);
    printf("ST fork=%d cow=%d\n", WEXITSTATUS(status), area[70000]);
}

#define READ(counter, value) __asm__ volatile("rd" counter " %0" : "=r"(value))

static void counters(void) {
    uint64_t before, after;
    READ("time", before);
    READ("time", after);
    printf("ST rdtime-ok=%d\n", after >= before);
    if (!sigsetjmp(recovery, 1)) {
        READ("cycle", before);
        printf("ST rdcycle allowed\n");
    } else printf("ST rdcycle SIGILL\n");
    if (!sigsetjmp(recovery, 1)) {
        READ("instret", before);
        printf("ST rdinstret allowed\n");
    } else printf("ST rdinstret SIGILL\n");
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    usleep(50000);
    clock_gettime(CLOCK_MONOTONIC, &end);
    long elapsed = (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
    printf("ST usleep-ok=%d\n", elapsed >= 50);
}

static void integers(void) {
    uint32_t x = 1, total = 0;
    for (int i = 0; i < 1000000; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        total += x;
    }
    printf("ST xorshift=%08x\n", total);
}

int main(void) {
    floating_point();
    threads();
    memory();
    counters();
    integers();
    printf("ST done\n");
    return 0;
}
