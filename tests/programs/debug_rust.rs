// What tests of debug information look at in Rust: modules, enumerations, references, text, generic functions.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

pub mod shapes {
    #[derive(Clone, Copy)]
    pub struct Point {
        pub x: i32,
        pub y: i32,
    }

    pub enum Shape {
        Empty,
        Circle(u32),
        Rectangle { corner: Point, size: (u16, u16) },
    }

    pub static mut COUNT: u64 = 0;

    #[inline(never)]
    pub fn area(shape: &Shape) -> u32 {
        unsafe { COUNT += 1 };
        match shape {
            Shape::Empty => 0,
            Shape::Circle(radius) => 3 * radius * radius,
            Shape::Rectangle { corner: _, size } => size.0 as u32 * size.1 as u32,
        }
    }

    #[inline(never)]
    pub fn largest<T: PartialOrd + Copy>(list: &[T], start: T) -> T {
        let mut best = start;
        for each in list {
            if *each > best {
                best = *each;
            }
        }
        unsafe { COUNT += 1 };
        best
    }
}

use shapes::{area, largest, Point, Shape};

static GREETING: &str = "hello, Rust";
static mut SHAPES: [Shape; 3] = [
    Shape::Empty,
    Shape::Circle(2),
    Shape::Rectangle { corner: Point { x: -1, y: 2 }, size: (3, 4) },
];
static mut MAYBE: Option<u32> = Some(5);
static mut NOTHING: Option<&'static Point> = None;
static LETTER: char = 'R';
static PAIR: (i8, bool) = (-3, true);

#[inline(never)]
fn total(name: &str, extra: Option<u32>) -> u32 {
    let mut sum = name.len() as u32 + extra.unwrap_or(0);
    let shapes = unsafe { &*core::ptr::addr_of!(SHAPES) };
    for shape in shapes {
        sum += area(shape);
    }
    sum + largest(&[3u8, 9, 4], 1) as u32
}

#[unsafe(no_mangle)]
pub extern "C" fn main() -> u32 {
    let greeting = unsafe { core::ptr::addr_of!(GREETING).read_volatile() };
    let maybe = unsafe { core::ptr::addr_of!(MAYBE).read_volatile() };
    let nothing = unsafe { core::ptr::addr_of!(NOTHING).read_volatile() };
    let pair = unsafe { core::ptr::addr_of!(PAIR).read_volatile() };
    let letter = unsafe { core::ptr::addr_of!(LETTER).read_volatile() };
    let mut sum = total(greeting, maybe) + pair.0 as u32 + letter as u32;
    if nothing.is_some() || !pair.1 {
        sum += 1;
    }
    sum & 0x7f
}

#[unsafe(no_mangle)]
pub extern "C" fn handle_trap(_cause: usize) {}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
