// A program in the manner of CoreMark, written for hartbeat: linked lists that are searched, sorted and reversed, small
// integer matrices, a state machine over strings, and a CRC-16 over all results, so that nothing can be left out.
// Only 16-bit and 32-bit arithmetic: RV32, RV64 and the host give the same result.

#include "plat.h"

// Rounds at scale 1: some 150 million instructions.
enum { ROUNDS = 1000 };

// CRC-16 of CCITT (polynomial 0x1021), a bit at a time.
static uint16_t crc16_byte(uint16_t crc, uint8_t byte) {
  crc ^= (uint16_t)(byte << 8);
  for (int bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (uint16_t)(crc << 1 ^ 0x1021) : (uint16_t)(crc << 1);
  return crc;
}

static uint16_t crc16_word(uint16_t crc, uint32_t word) {
  for (int shift = 0; shift < 32; shift += 8) crc = crc16_byte(crc, (uint8_t)(word >> shift));
  return crc;
}

static uint32_t random_state;

static uint32_t random_word(void) {
  random_state = random_state * 1664525u + 1013904223u;
  return random_state >> 8;
}

// Lists

enum { NODES = 160 };

struct node {
  struct node *next;
  int16_t key;
  int16_t value;
};

typedef int (*node_order)(const struct node *, const struct node *);

static struct node nodes[NODES];

static int by_key(const struct node *a, const struct node *b) { return a->key - b->key; }

static int by_value(const struct node *a, const struct node *b) {
  int difference = (a->value & 0x3ff) - (b->value & 0x3ff);
  return difference != 0 ? difference : by_key(a, b);
}

static struct node *make_list(void) {
  for (int i = 0; i < NODES; i++) {
    nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : NULL;
    nodes[i].key = (int16_t)i;
    nodes[i].value = (int16_t)random_word();
  }
  return nodes;
}

static __attribute__((noinline)) struct node *find_key(struct node *list, int key) {
  while (list != NULL && list->key != key) list = list->next;
  return list;
}

static __attribute__((noinline)) struct node *find_value(struct node *list, int low_byte) {
  while (list != NULL && (list->value & 0xff) != low_byte) list = list->next;
  return list;
}

static __attribute__((noinline)) struct node *reverse(struct node *list) {
  struct node *done = NULL;
  while (list != NULL) {
    struct node *next = list->next;
    list->next = done;
    done = list;
    list = next;
  }
  return done;
}

static struct node *merge(struct node *a, struct node *b, node_order order) {
  struct node *first = NULL, **end = &first;
  while (a != NULL && b != NULL) {
    struct node **smaller = order(a, b) <= 0 ? &a : &b;
    *end = *smaller;
    end = &(*smaller)->next;
    *smaller = *end;
  }
  *end = a != NULL ? a : b;
  return first;
}

// Merge sort from the bottom up: runs[i] is empty or a sorted run of 2^i nodes.
static __attribute__((noinline)) struct node *sort(struct node *list, node_order order) {
  struct node *runs[16] = {NULL};
  while (list != NULL) {
    struct node *run = list;
    list = list->next;
    run->next = NULL;
    int i = 0;
    for (; runs[i] != NULL; i++) {
      run = merge(runs[i], run, order);
      runs[i] = NULL;
    }
    runs[i] = run;
  }
  struct node *sorted = NULL;
  for (int i = 0; i < 16; i++) sorted = merge(runs[i], sorted, order);
  return sorted;
}

static uint16_t list_work(uint16_t crc, struct node **list) {
  int found = 0;
  for (int i = 0; i < 24; i++) {
    struct node *node = i & 1 ? find_key(*list, (int)(random_word() % (NODES + 8))) : find_value(*list, (int)(random_word() & 0xff));
    if (node == NULL) continue;
    found++;
    // Makes the one after it the second of the list.
    struct node *after = node->next;
    if (after != NULL && after->next != NULL) {
      node->next = after->next;
      after->next = (*list)->next;
      (*list)->next = after;
    }
    node->value ^= (int16_t)(i << 4);
  }
  crc = crc16_word(crc, (uint32_t)found);
  *list = sort(*list, by_value);
  for (const struct node *node = *list; node != NULL; node = node->next) crc = crc16_byte(crc, (uint8_t)node->key);
  *list = reverse(*list);
  crc = crc16_word(crc, (uint16_t)(*list)->value);
  *list = sort(*list, by_key);
  for (const struct node *node = *list; node != NULL; node = node->next) crc ^= (uint16_t)(node->value + node->key);
  return crc;
}

// Matrices

enum { SIDE = 14 };

static int16_t left[SIDE][SIDE], right[SIDE][SIDE];
static int32_t product[SIDE][SIDE];

static void make_matrices(void) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      left[i][j] = (int16_t)(random_word() % 401) - 200;
      right[i][j] = (int16_t)(random_word() % 401) - 200;
    }
  }
}

static __attribute__((noinline)) void multiply(void) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      int32_t sum = 0;
      for (int k = 0; k < SIDE; k++) sum += left[i][k] * right[k][j];
      product[i][j] = sum;
    }
  }
}

// The same, of two fields of bits of each product.
static __attribute__((noinline)) void multiply_fields(void) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      uint32_t sum = 0;
      for (int k = 0; k < SIDE; k++) {
        uint32_t term = (uint32_t)(left[i][k] * right[k][j]);
        sum += (term >> 2 & 0xf) * (term >> 5 & 0x7f);
      }
      product[i][j] = (int32_t)sum;
    }
  }
}

static __attribute__((noinline)) void add_constant(int16_t constant) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) left[i][j] = (int16_t)(left[i][j] + constant);
  }
}

// How often the running sum passes a limit, and how often the products rise.
static __attribute__((noinline)) int32_t sum_with_limit(int32_t limit) {
  int32_t sum = 0, before = 0, result = 0;
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      int32_t now = product[i][j];
      sum += now;
      if (sum > limit) {
        result += 10;
        sum = 0;
      } else {
        result += now > before;
      }
      before = now;
    }
  }
  return result;
}

static uint16_t matrix_work(uint16_t crc, int16_t constant) {
  add_constant(constant);
  multiply();
  crc = crc16_word(crc, (uint32_t)sum_with_limit(20000));
  multiply_fields();
  crc = crc16_word(crc, (uint32_t)sum_with_limit(40000));
  add_constant((int16_t)-constant);
  return crc;
}

// State machine: what kind of number is each word of a text?

enum state { START, SIGN, DIGITS, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, EXPONENT_DIGITS, ZERO, HEXADECIMAL, WRONG, STATES };

static const char *const words[] = {"17", "-4096", "+3.25", ".5", "6.02e23", "1e-9", "-7.E+3", "0x1f", "0xC0DE", "0", "12a4", "--1", "1.2.3", "e5", "0xg1", "T0"};
static char text[640];
static int text_length;

static void make_text(void) {
  text_length = 0;
  while (text_length < (int)sizeof text - 10) {
    const char *word = words[random_word() % (sizeof words / sizeof words[0])];
    while (*word != 0) text[text_length++] = *word++;
    text[text_length++] = ',';
  }
  text[text_length] = 0;
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static enum state next_state(enum state state, char c) {
  switch (state) {
    case START:
      if (c == '+' || c == '-') return SIGN;
      if (c == '0') return ZERO;
      return is_digit(c) ? DIGITS : c == '.' ? POINT : WRONG;
    case SIGN:
      return is_digit(c) ? DIGITS : c == '.' ? POINT : WRONG;
    case ZERO:
      if (c == 'x' || c == 'X') return HEXADECIMAL;
      // A leading zero is a digit like any other.
      __attribute__((fallthrough));
    case DIGITS:
      if (is_digit(c)) return DIGITS;
      return c == '.' ? FRACTION : (c | 32) == 'e' ? EXPONENT : WRONG;
    case POINT:
      return is_digit(c) ? FRACTION : WRONG;
    case FRACTION:
      return is_digit(c) ? FRACTION : (c | 32) == 'e' ? EXPONENT : WRONG;
    case EXPONENT:
      return is_digit(c) ? EXPONENT_DIGITS : c == '+' || c == '-' ? EXPONENT_SIGN : WRONG;
    case EXPONENT_SIGN:
    case EXPONENT_DIGITS:
      return is_digit(c) ? EXPONENT_DIGITS : WRONG;
    case HEXADECIMAL:
      return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f') ? HEXADECIMAL : WRONG;
    default:
      return WRONG;
  }
}

static __attribute__((noinline)) void classify(uint32_t *ends, uint32_t *entered) {
  for (const char *c = text; *c != 0; c++) {
    enum state state = START;
    for (; *c != 0 && *c != ','; c++) {
      enum state next = next_state(state, *c);
      if (next != state) entered[next]++;
      state = next;
      if (state == WRONG) {
        while (c[1] != 0 && c[1] != ',') c++;
      }
    }
    ends[state]++;
  }
}

static __attribute__((noinline)) void scramble(int first, int step, char with) {
  for (int i = first; i < text_length; i += step) {
    if (text[i] != ',') text[i] ^= with;
  }
}

static uint16_t state_work(uint16_t crc, int first) {
  uint32_t ends[STATES] = {0}, entered[STATES] = {0};
  classify(ends, entered);
  // Bit 3 makes a comma or an end of no character that occurs, so the second time restores the text.
  scramble(first, 7, 8);
  classify(ends, entered);
  scramble(first, 7, 8);
  for (int i = 0; i < STATES; i++) crc = crc16_word(crc16_byte(crc, (uint8_t)ends[i]), entered[i]);
  return crc;
}

int bench(void) {
  uint16_t crc = 0xffff;
  random_state = 0x2545f491;
  struct node *list = make_list();
  make_matrices();
  make_text();
  for (int round = 0; round < ROUNDS * SCALE; round++) {
    crc = list_work(crc, &list);
    crc = matrix_work(crc, (int16_t)(round & 63));
    crc = state_work(crc, round % 11);
  }
  return (int)((uint32_t)crc << 16 | (random_state & 0xffff));
}
