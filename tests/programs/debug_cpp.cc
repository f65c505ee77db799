// What tests of debug information look at in C++: namespaces, classes, templates, references, overloading.
namespace shapes {

class Shape {
public:
  explicit Shape(int id) : id(id) { count++; }
  virtual int area() const = 0;
  int identity() const;
  static int count;

protected:
  int id;
};

int Shape::count = 0;

int Shape::identity() const { return id; }

class Rectangle : public Shape {
public:
  Rectangle(int id, int width, int height) : Shape(id), width(width), height(height) {}
  int area() const override;

private:
  int width, height;
};

volatile int sink;

__attribute__((noinline)) int Rectangle::area() const {
  sink = width;
  return width * height;
}

namespace {
int hidden = 9;
}

template <typename T> struct Pair {
  T first, second;
  __attribute__((noinline)) T sum() const;
};

template <typename T> T Pair<T>::sum() const {
  sink = 1;
  return first + second;
}

template <typename T> __attribute__((noinline)) T larger(const T &a, const T &b) {
  sink = hidden;
  return a > b ? a : b;
}

enum class Mode : unsigned char { Off, On = 3 };

Mode mode = Mode::On;
Pair<long> pair = {30, 12};

} // namespace shapes

using shapes::Pair;

__attribute__((noinline)) int add(int a, int b) {
  shapes::sink = a;
  return a + b;
}
__attribute__((noinline)) long add(long a, const Pair<long> &b) {
  shapes::sink = int(a);
  return a + b.sum();
}

alignas(8) char room[sizeof(shapes::Rectangle)];
void *operator new(__SIZE_TYPE__, void *where) { return where; }

shapes::Shape *made;
int &alias = shapes::Shape::count;

extern "C" void handle_trap(unsigned long) {}
extern "C" void __cxa_pure_virtual() {}
void operator delete(void *, __SIZE_TYPE__) {}

extern "C" __attribute__((noinline)) int main() {
  made = new (room) shapes::Rectangle(7, 3, 4);
  auto triple = [](int value) __attribute__((noinline)) {
    shapes::sink = value;
    return 3 * value;
  };
  int total = made->area() + add(1, 2) + triple(5);
  total += int(add(total, shapes::pair)) + int(shapes::larger<long>(1, 2)) + made->identity();
  return total & 0x7f;
}
