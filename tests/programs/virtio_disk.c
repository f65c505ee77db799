// A driver for the virtio disk in the last virtio-mmio slot of QEMU's virt board, legacy or modern, on RV32 or RV64: reads and writes
// by polling and by interrupts through the PLIC, and makes the mistakes that a driver can make. Prints what came of it; nothing that
// it prints depends on how fast the machine is.

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef unsigned long long u64;
typedef unsigned long uptr;

#define SLOT 7
#define VIRTIO(offset) (*(volatile u32 *)(uptr)(0x10001000 + 0x1000 * SLOT + (offset)))
#define IRQ (1 + SLOT)
#define UART ((volatile u8 *)0x10000000)
#define UART_LSR 5
#define LSR_THR_EMPTY 0x20
#define FINISHER ((volatile u32 *)0x100000)
#define PLIC_PRIORITY(irq) (*(volatile u32 *)(0x0c000000 + 4 * (irq)))
#define PLIC_ENABLE (*(volatile u32 *)0x0c002000)
#define PLIC_THRESHOLD (*(volatile u32 *)0x0c200000)
#define PLIC_CLAIM (*(volatile u32 *)0x0c200004)

enum {
  VERSION = 0x4, DEVICE_ID = 0x8, DEVICE_FEATURES = 0x10, DEVICE_FEATURES_SEL = 0x14, DRIVER_FEATURES = 0x20,
  DRIVER_FEATURES_SEL = 0x24, GUEST_PAGE_SIZE = 0x28, QUEUE_SEL = 0x30, QUEUE_NUM_MAX = 0x34, QUEUE_NUM = 0x38, QUEUE_ALIGN = 0x3c,
  QUEUE_PFN = 0x40, QUEUE_READY = 0x44, QUEUE_NOTIFY = 0x50, INTERRUPT_STATUS = 0x60, INTERRUPT_ACK = 0x64, STATUS = 0x70,
  QUEUE_DESC = 0x80, QUEUE_DRIVER = 0x90, QUEUE_DEVICE = 0xa0, CONFIG = 0x100
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { NEXT = 1, WRITE = 2 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8 };

#define SIZE 8

struct descriptor { u64 address; u32 length; u16 flags, next; };
// The legacy layout, which the modern transport takes as well.
static struct {
  struct descriptor descriptors[SIZE];
  struct { u16 flags, index, ring[SIZE], event; } available;
  u8 pad[4096 - 16 * SIZE - 6 - 2 * SIZE];
  struct { u16 flags, index; struct { u32 id, length; } ring[SIZE]; u16 event; } used __attribute__((aligned(4096)));
} queue __attribute__((aligned(4096)));

static struct { u32 type, reserved; u64 sector; } header;
static u8 data[2048] __attribute__((aligned(16)));
static volatile u8 status;
static volatile u32 interrupts;
static int modern;

#define barrier() asm volatile("fence" ::: "memory")

static void put(char c) {
  while (!(UART[UART_LSR] & LSR_THR_EMPTY)) continue;
  UART[0] = c;
}
static void print(const char *text) {
  while (*text) put(*text++);
}
static void print_hex(u32 value) {
  for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}
static void show(const char *what, u32 value) {
  print(what);
  put(' ');
  print_hex(value);
  put('\n');
}

void trap(void) {
  u32 irq = PLIC_CLAIM;
  if (irq != IRQ) show("unexpected interrupt", irq);
  VIRTIO(INTERRUPT_ACK) = VIRTIO(INTERRUPT_STATUS);
  PLIC_CLAIM = irq;
  interrupts++;
}

static void start(void) {
  VIRTIO(STATUS) = 0;
  VIRTIO(STATUS) = ACKNOWLEDGE;
  VIRTIO(STATUS) = ACKNOWLEDGE | DRIVER;
  for (u32 half = 0; half < 2; half++) {
    VIRTIO(DEVICE_FEATURES_SEL) = half;
    VIRTIO(DRIVER_FEATURES_SEL) = half;
    // FLUSH; VERSION_1.
    if (half == 0 || modern) VIRTIO(DRIVER_FEATURES) = VIRTIO(DEVICE_FEATURES) & (half == 0 ? 1u << 9 : 1);
  }
  if (modern) {
    VIRTIO(STATUS) = ACKNOWLEDGE | DRIVER | FEATURES_OK;
    show("status", VIRTIO(STATUS));
  }
  for (u32 k = 0; k < sizeof queue; k++) ((volatile u8 *)&queue)[k] = 0;
  VIRTIO(QUEUE_SEL) = 0;
  VIRTIO(QUEUE_NUM) = SIZE;
  if (modern) {
    VIRTIO(QUEUE_DESC) = (uptr)&queue.descriptors;
    VIRTIO(QUEUE_DRIVER) = (uptr)&queue.available;
    VIRTIO(QUEUE_DEVICE) = (uptr)&queue.used;
    for (uptr high = 4; high < 0x30; high += 0x10) VIRTIO(QUEUE_DESC + high) = 0;
    VIRTIO(QUEUE_READY) = 1;
    VIRTIO(STATUS) = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
  } else {
    VIRTIO(GUEST_PAGE_SIZE) = 4096;
    VIRTIO(QUEUE_ALIGN) = 4096;
    VIRTIO(QUEUE_PFN) = (uptr)&queue >> 12;
    VIRTIO(STATUS) = ACKNOWLEDGE | DRIVER | DRIVER_OK;
  }
}

static void describe(u32 index, const volatile void *bytes, u32 length, u16 flags, u16 next) {
  queue.descriptors[index] = (struct descriptor){(uptr)bytes, length, flags, next};
}
static void offer(u16 head) {
  queue.available.ring[queue.available.index % SIZE] = head;
  barrier();
  queue.available.index++;
  barrier();
  VIRTIO(QUEUE_NOTIFY) = 0;
}

// Makes a request and waits for it, asleep or not.
static u32 request(u32 type, u64 sector, u32 length, int asleep) {
  u16 before = queue.used.index;
  header.type = type;
  header.sector = sector;
  status = 0xee;
  describe(1, &header, sizeof header, NEXT, length ? 3 : 5);
  describe(3, data, length, NEXT | (type == OUT ? 0 : WRITE), 5);
  describe(5, &status, 1, WRITE, 0);
  u32 seen = interrupts;
  offer(1);
  if (asleep) {
    while (interrupts == seen) {
      asm volatile("wfi");
      asm volatile("csrsi mstatus, 8\n nop\n csrci mstatus, 8" ::: "memory");
    }
  }
  while (*(volatile u16 *)&queue.used.index == before) continue;
  barrier();
  if (!asleep) VIRTIO(INTERRUPT_ACK) = VIRTIO(INTERRUPT_STATUS);
  return status;
}

static u32 checksum(u32 length) {
  u32 sum = 1;
  for (u32 k = 0; k < length; k++) sum = sum * 31 + data[k];
  return sum;
}

__attribute__((noreturn)) void main(void) {
  show("version", VIRTIO(VERSION));
  show("device", VIRTIO(DEVICE_ID));
  modern = VIRTIO(VERSION) == 2;
  PLIC_PRIORITY(IRQ) = 1;
  PLIC_THRESHOLD = 0;
  start();
  show("most entries", VIRTIO(QUEUE_NUM_MAX));
  show("sectors", VIRTIO(CONFIG));

  show("read by polling", request(IN, 0, 1024, 0));
  show("checksum", checksum(1024));
  show("used length", queue.used.ring[0].length);

  // The PLIC remembers the interrupt of the request above.
  PLIC_ENABLE = 1 << IRQ;
  for (u32 irq; (irq = PLIC_CLAIM) != 0;) PLIC_CLAIM = irq;
  asm volatile("csrw mie, %0" ::"r"(1 << 11));
  interrupts = 0;
  for (u32 k = 0; k < sizeof data; k++) data[k] = k * 7 + 3;
  show("write by interrupt", request(OUT, 5, sizeof data, 1));
  show("flush", request(FLUSH, 0, 0, 1));
  for (u32 k = 0; k < sizeof data; k++) data[k] = 0;
  show("read by interrupt", request(IN, 4, sizeof data, 1));
  show("checksum", checksum(sizeof data));
  show("interrupts", interrupts);
  for (u32 k = 0; k < 20; k++) data[k] = '.';
  show("identity", request(GET_ID, 0, 20, 1));
  data[20] = 0;
  print((char *)data);
  put('\n');
  show("past the end", request(IN, VIRTIO(CONFIG), 512, 1));
  show("half a sector", request(IN, 0, 100, 1));
  show("unknown", request(77, 0, 512, 1));
  show("used index", queue.used.index);

  // A chain that never ends.
  PLIC_ENABLE = 0;
  describe(2, &header, sizeof header, NEXT, 2);
  offer(2);
  show("after a loop: status", VIRTIO(STATUS));
  show("interrupt", VIRTIO(INTERRUPT_STATUS));
  start();
  show("after a reset: status", VIRTIO(STATUS));
  show("read by polling", request(IN, 1, 512, 0));
  show("checksum", checksum(512));
  *FINISHER = 0x5555;
  for (;;) continue;
}
