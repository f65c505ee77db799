// A program in the manner of Dhrystone, written for hartbeat: what the code of systems does most. Records with variants,
// copied and reached through pointers, strings copied and compared, many small procedures with values and pointers as
// parameters, switches over enumerations, a little arithmetic on arrays. It is a lending library.
// Only 32-bit arithmetic: RV32, RV64 and the host give the same result.

#include "plat.h"

// Rounds at scale 1: some 150 million instructions.
enum { ROUNDS = 150000 };

// A procedure stays one, as if it were compiled apart.
#define PROCEDURE static __attribute__((noinline, noclone))

enum { NAME = 32, SHELVES = 8, PLACES = 16 };

enum kind { NOVEL, ATLAS, SCORE, FILM };
enum event { LEND, RETURN, RENEW, MISLAY, FIND, EVENTS };

struct item {
  struct item *next;
  enum kind kind;
  union {
    struct { int32_t pages; int32_t chapter; } novel;
    struct { int32_t scale; int16_t sheets[4]; } atlas;
    struct { int32_t parts; char key; } score;
    struct { int32_t minutes; int32_t frames; } film;
  } of;
  char title[NAME];
};

struct loan {
  struct item *item;
  int32_t days;
  enum event last;
};

static struct item first_item, second_item;
static struct loan loan;
static int32_t days_of_shelf[SHELVES];
static int32_t plan[SHELVES][PLACES];
static int32_t open_shelf;
static char mark;

PROCEDURE void copy_string(char *to, const char *from) {
  while ((*to++ = *from++) != 0) {}
}

PROCEDURE int compare_strings(const char *a, const char *b) {
  while (*a != 0 && *a == *b) {
    a++;
    b++;
  }
  return (uint8_t)*a - (uint8_t)*b;
}

PROCEDURE int is_out(enum event last) { return last == LEND || last == RENEW; }

PROCEDURE void add_days(int32_t days, int32_t more, int32_t *result) {
  int32_t sum = days + more + 2;
  *result = sum > 365 ? sum - 365 : sum;
}

PROCEDURE enum event answer(enum event asked, enum event last, int32_t days) {
  switch (asked) {
    case LEND:
      return is_out(last) ? RENEW : LEND;
    case RETURN:
      return is_out(last) ? RETURN : FIND;
    case RENEW:
      return days > 90 ? RETURN : RENEW;
    case MISLAY:
      return days % 5 == 0 ? MISLAY : last;
    case FIND:
      return last == MISLAY ? FIND : RETURN;
    default:
      return asked;
  }
}

PROCEDURE int32_t effort(const struct item *item) {
  switch (item->kind) {
    case NOVEL:
      return item->of.novel.pages - item->of.novel.chapter;
    case ATLAS:
      return item->of.atlas.scale / 1000 + item->of.atlas.sheets[item->of.atlas.scale & 3];
    case SCORE:
      return item->of.score.parts * (item->of.score.key - 'A' + 1);
    case FILM:
      return item->of.film.minutes + (item->of.film.frames >> 4);
    default:
      return 0;
  }
}

// Makes `item` the next kind of thing that it can be.
PROCEDURE void rebind(struct item *item, int32_t number) {
  switch (item->kind) {
    case NOVEL:
      item->kind = ATLAS;
      item->of.atlas.scale = 25000 + number % 7;
      for (int i = 0; i < 4; i++) item->of.atlas.sheets[i] = (int16_t)(number + i);
      break;
    case ATLAS:
      item->kind = SCORE;
      item->of.score.parts = 4 + (number & 3);
      item->of.score.key = (char)('A' + number % 7);
      break;
    case SCORE:
      item->kind = FILM;
      item->of.film.minutes = 80 + number % 40;
      item->of.film.frames = number & 0xfff;
      break;
    default:
      item->kind = NOVEL;
      item->of.novel.pages = 200 + number % 100;
      item->of.novel.chapter = number % 12;
      break;
  }
}

PROCEDURE char initial(const char *title, int32_t word) {
  while (word > 0 && *title != 0) {
    if (*title++ == ' ') word--;
  }
  return *title;
}

// Are the titles in order, and different in the given words?
PROCEDURE int in_order(const char *a, const char *b, int32_t word) {
  for (; word < 3; word++) {
    if (initial(a, word) == initial(b, word)) continue;
    mark = initial(a, word);
    break;
  }
  if (mark >= 'w' && mark < 'z') return 0;
  return compare_strings(a, b) < 0;
}

PROCEDURE void shelve(int32_t days[SHELVES], int32_t shelves[SHELVES][PLACES], int32_t shelf, int32_t value) {
  int32_t place = shelf & (SHELVES - 1);
  days[place] = value;
  days[(place + 1) & (SHELVES - 1)] = days[place];
  for (int32_t i = place; i <= place + 1; i++) shelves[place][i] = place + value;
  shelves[place][place > 0 ? place - 1 : PLACES - 1]++;
  shelves[(place + 5) & (SHELVES - 1)][place] = days[place];
  open_shelf = place;
}

// The whole record goes over to the next item, then both get their own.
PROCEDURE void pass_on(struct item *item, int32_t number) {
  struct item *next = item->next;
  struct item *after = next->next;
  *next = *item;
  next->next = after;
  rebind(next, number);
  add_days(effort(next), number & 15, &days_of_shelf[0]);
}

PROCEDURE void handle(struct loan *record, enum event asked, int32_t number) {
  enum event last = answer(asked, record->last, record->days);
  if (last == RETURN) {
    record->item = record->item->next;
    record->days = 0;
  } else {
    add_days(record->days, number & 7, &record->days);
  }
  record->last = last;
}

int bench(void) {
  char here[NAME], there[NAME];
  uint32_t sum = 0;
  first_item.next = &second_item;
  first_item.kind = NOVEL;
  first_item.of.novel.pages = 321;
  first_item.of.novel.chapter = 3;
  second_item.next = &first_item;
  copy_string(first_item.title, "a tale of two harts, volume 1");
  copy_string(second_item.title, "a tale of two harts, volume 2");
  loan.item = &first_item;
  loan.days = 1;
  loan.last = LEND;
  copy_string(here, "the registers of night, no.1");
  for (int32_t round = 1; round <= ROUNDS * SCALE; round++) {
    int32_t a = 2, b = 3, c;
    copy_string(there, round & 3 ? "the registers of night, no.2" : "the archive by day, no.17");
    if (!in_order(here, there, round & 1)) sum += (uint32_t)mark;
    while (a < b) {
      c = 5 * a - b;
      add_days(a, b, &c);
      a++;
      sum += (uint32_t)c;
    }
    shelve(days_of_shelf, plan, a + round, c);
    pass_on(loan.item, round);
    for (enum event event = LEND; event < EVENTS; event++) handle(&loan, event, round);
    c = b * a;
    b = c / (1 + (open_shelf & 3));
    a = 7 * (c - b) - a;
    if (compare_strings(first_item.title, here) < 0) sum += (uint32_t)(a % 13);
    sum = (sum << 3 | sum >> 29) + (uint32_t)effort(loan.item);
  }
  for (int i = 0; i < SHELVES; i++) {
    sum = sum * 31 + (uint32_t)days_of_shelf[i];
    for (int j = 0; j < PLACES; j++) sum = sum * 31 + (uint32_t)plan[i][j];
  }
  return (int)(sum ^ (uint32_t)loan.days);
}
