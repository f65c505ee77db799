// The program of both processes of sv39_kernel.c. It is linked where they have it mapped.
enum { SYS_YIELD = 1, SYS_EXIT = 2 };

struct account {
  int owner;
  long balance;
  long history[3];
};

struct account account;

static long call(long number, long argument) {
  register long a0 asm("a0") = argument;
  register long a7 asm("a7") = number;
  asm volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
  return a0;
}

static long deposit(struct account *to, int round, long amount) {
  long before = to->balance;
  to->balance = before + amount;
  to->history[round] = amount;
  return to->balance;
}

void user_main(int id) {
  account.owner = id;
  for (int round = 0; round < 3; round++) {
    long amount = 100 * id + round;
    long total = deposit(&account, round, amount);
    call(SYS_YIELD, total);
  }
  call(SYS_EXIT, account.balance);
}
