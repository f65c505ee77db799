/* What tests of debug information look at: kinds of types, calls, inlined calls, traps. */
typedef unsigned char u8;
typedef unsigned long word;

enum color { RED, GREEN = 5, BLUE = -2 };
enum flags { READ = 1, WRITE = 2, EXECUTE = 4 };

struct point {
  int x, y;
};

union either {
  unsigned bits;
  float number;
};

struct flagged {
  unsigned ready : 1, level : 5;
  int small : 7;
  unsigned long long wide : 40;
};

struct node;
typedef int (*operation)(int, struct node *);

struct node {
  struct node *next;
  struct point corners[2];
  char name[12];
  u8 raw[4];
  enum color color;
  union either either;
  struct {
    short inner;
  };
  operation run;
};

struct node nodes[3];
struct flagged flagged = {1, 17, -3, 0x123456789aULL};
int matrix[2][3] = {{1, 2, 3}, {4, 5, 6}};
double ratio = 0.1;
float third = 1.0f / 3;
_Bool yes = 1;
char letter = 'x';
signed char minus = -100;
const char *text = "a \"text\"\n";
void *nothing;
enum flags mode = READ | EXECUTE;
enum color odd = 3;
long long big = -5000000000LL;
int long_list[300];
int fibonacci[40] = {1, 1, 2, 3, 5, 8, 13, 21};
static volatile int hidden = 7;
volatile int sink;
void handle_trap(word cause);
void plain_trap(void);
void framed_trap(void);

static inline __attribute__((always_inline)) int square(int value) {
  int doubled = value + value;
  sink = doubled;
  return value * value;
}

static inline __attribute__((always_inline)) int shifted(int value) {
  return square(value + 1) + hidden;
}

__attribute__((noinline)) int leaf(int a, struct node *node) {
  node->corners[1].x = a;
  sink = a;
  return shifted(a) + node->corners[0].y;
}

__attribute__((noinline)) int recurse(int depth, int sum) {
  if (depth == 0) return leaf(sum, &nodes[1]);
  return recurse(depth - 1, sum + depth) + 1;
}

__attribute__((noinline)) void provoke(int reason) {
  sink = reason;
  asm volatile(".option push\n.option norvc\nebreak\n.option pop");
  sink = reason + 1;
}

__attribute__((noinline)) void handle_trap(word cause) {
  static int traps;
  traps++;
  sink = (int)cause + traps;
}

__attribute__((noinline)) int main(int count) {
  struct point local = {count, 42};
  nodes[1].next = &nodes[2];
  nodes[1].run = leaf;
  nodes[1].color = GREEN;
  nodes[1].either.number = 1.5f;
  nodes[1].inner = -7;
  nodes[2].next = &nodes[1];
  nodes[1].raw[2] = 7;
  for (int k = 0; k < 5; k++) nodes[1].name[k] = "hello"[k];
  int result = recurse(3, 10) + local.y;
  provoke(result);
  asm volatile("csrw mtvec, %0" ::"r"(framed_trap));
  provoke(result + local.x);
  return result & 0x7f;
}
