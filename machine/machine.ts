// The machine: what scripts hold. Builds a board from options, runs it, resets it.

import { Count } from "../hart/counter.ts";
import { Hart, type TrapRecord } from "../hart/hart.ts";
import { Ram } from "../hart/memory.ts";
import { type WatchList, Watchpoints } from "../hart/watchpoints.ts";
import { disassemble } from "../isa/disassemble.ts";
import type { Compilation, CompilerOptions } from "../jit/code_cache.ts";
import { CodeHooks } from "../jit/code_hooks.ts";
import { Executor } from "../jit/executor.ts";
import { type ExecutedInstruction, executedInstructions } from "./history.ts";
import { Counters, type Hook, Hooks } from "./hooks.ts";
import { invalidateCode } from "../jit/invalidation.ts";
import { CompiledCode } from "../jit/listing.ts";
import { type CompilerStatistics, sumOfStatistics } from "../jit/statistics.ts";
import { parseAddressRanges } from "./address_range.ts";
import type { SourcePosition } from "../debug/dwarf/scopes.ts";
import type { Backtrace } from "./backtrace.ts";
import type { Board, BuiltBoard } from "./board.ts";
import { resetRom } from "./board.ts";
import { addDeviceTree, type BootPlan, deviceTreeFileRoom, generatedDeviceTreeRoom, planBoot } from "./boot.ts";
import { Bus } from "./bus.ts";
import { Console } from "./console.ts";
import { SerialPort } from "./serial_port.ts";
import { DebugAccess } from "./debug_access.ts";
import { Debugging } from "./debugging.ts";
import { DebugInfo } from "./debug_info.ts";
import { withChosen } from "./chosen.ts";
import { buildDeviceTree, withRoom } from "./device_tree.ts";
import { parseAccel } from "./accelerator.ts";
import { loadCppDemangler } from "./demangle_cpp.ts";
import { parseDeviceTree } from "./device_tree_reader.ts";
import { elfXlen } from "./elf.ts";
import { AddressError, HookError, OptionError } from "./errors.ts";
import type { ExpectDriver } from "./expect.ts";
import { failureReport } from "./failure_report.ts";
import { openFile, readFile, readProgram } from "./files.ts";
import { FailureDetector, type FailureOptions, PANIC_PATTERNS, PANIC_SYMBOLS } from "./failures.ts";
import { LONGEST_LOOP, StillLoop } from "./still_loop.ts";
import { fwCfgContents } from "./fw_cfg_items.ts";
import { flashBoot } from "./flash_chips.ts";
import { HartView } from "./hart_view.ts";
import { type ImageFile, type LoadPiece, wholeFile } from "./image.ts";
import { Inspector } from "./inspector.ts";
import { MemoryView } from "./memory_view.ts";
import { deviceNodes, Mmio, withSocNodes } from "./mmio.ts";
import { nearest } from "./nearest.ts";
import type { NetworkPort } from "./network.ts";
import { type Peripherals, planPeripherals } from "./peripherals.ts";
import { parseCpu } from "./cpu.ts";
import { type FileSource, type MachineOptions, parseMemorySize } from "./options.ts";
import { Reservations } from "./reservations.ts";
import type { Step } from "./run_control.ts";
import { DEFAULT_QUANTUM, MAX_QUANTUM, Scheduler } from "./scheduler.ts";
import type { SbiAnswer } from "./sbi/extension.ts";
import { type SbiCall, SbiFirmware } from "./sbi/firmware.ts";
import type { Semihosting } from "./semihosting.ts";
import { connectSemihosting } from "./semihosting_setup.ts";
import { spike } from "./spike.ts";
import type { Stop, StopCause } from "./stop.ts";
import { loadedFile, SymbolFile } from "./symbol_file.ts";
import { Symbols } from "./symbols.ts";
import { Timeline } from "./timeline.ts";
import { turn } from "./turn.ts";
import type { Variable } from "./variable.ts";
import { virt } from "./virt.ts";

/** The boards there are, by name. */
export const BOARDS: ReadonlyMap<string, Board> = new Map([virt, spike].map((board) => [board.name, board]));

/** Most instructions between two looks at the host (console input, `stop()`) while a run goes on asynchronously. */
const TURN = 5_000_000;
/**
 * Most instructions between two looks at whether a guest is in a loop that changes nothing. A look costs as much time as the
 * guest takes for some millions of instructions.
 */
const LONGEST_UNSEEN = 64 * TURN;
/** Free bytes in the device tree that firmware passes on. OpenSBI leaves about as many. */
const FIRMWARE_ROOM = 1024;
/** Longest time that `setTimeout` takes, milliseconds. */
const MAX_TIMEOUT = 2 ** 31 - 1;
/** Milliseconds between turns of the event loop that also reach sockets, while a debugger may write to one. */
const SOCKET_TURN = 20;
/** Most steps between two turns of the event loop. */
const STEPS = 10_000;
/**
 * Most instructions in one slice. The first slices are short: V8 replaces a function by a better one when it is called, and
 * code that it replaced in the middle of its loop stays slow.
 */
const MAX_SLICE = 2 ** 20, FIRST_SLICE = 2 ** 14, FIRST_SLICES = 300;

/**
 * What `run` may be told.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await machine.run({ until: "trap" });
 * await machine.run({ maxInstructions: 1000 });
 * await machine.run({ maxVirtualSeconds: 0.5 });
 * ```
 */
export interface RunOptions {
  /** Stop after this many instructions. */
  readonly maxInstructions?: number;
  /** Stop when so many seconds of virtual time have passed. */
  readonly maxVirtualSeconds?: number;
  /** Stop before any hart executes the instruction at this address or symbol. */
  readonly until?: number | bigint | string;
}

/**
 * An instruction as `disassemble` shows it.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const { text, length } = machine.disassemble("trap")!;
 * console.log(text, length);
 * ```
 */
export interface InstructionText {
  /** Mnemonic, tab, operands. */
  readonly text: string;
  /** Length in bytes. */
  readonly length: 2 | 4;
  /** Its bits, unsigned. */
  readonly word: number;
}

/**
 * A RISC-V machine.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const stop = await machine.run();
 * console.log(stop.kind, machine.console.output);
 * ```
 */
export class Machine<X extends 32 | 64 = 32 | 64> implements AsyncDisposable {
  /** Width of its registers in bits. */
  readonly xlen: X;
  /** Name of its board. */
  readonly board: string;
  /** The first serial line. */
  readonly console: Console;
  /**
   * All consoles by name: the board's serial line (`serial0`, which is `console`), further serial ports (`SerialPort`), and the outer
   * ends of virtio consoles and ports (`-chardev`) by their ids.
   */
  readonly consoles: ReadonlyMap<string, Console>;
  /** Physical memory. */
  readonly memory: MemoryView;
  /** Its harts. */
  readonly harts: readonly HartView<X>[];
  /** Symbols of the programs that were loaded. */
  readonly symbols: Symbols;
  /** The flattened device tree that the guest gets. */
  readonly deviceTree: Uint8Array;
  /** One line for each thing in the options that is allowed but likely a mistake. */
  readonly warnings: readonly string[];
  /** Watched addresses of all harts: what hooks and the debugger are made with. */
  readonly watchpoints: WatchList;
  /** Devices of yours. */
  readonly mmio: Mmio;
  /** The door for debuggers. */
  readonly debug: Debugging = new Debugging(this as unknown as Machine);
  /** Hooks on what the guest does. */
  readonly hook: Hooks<X>;
  /** Counters of what the guest executes. */
  readonly count: Counters;
  readonly #codeHooks = new CodeHooks((count) => this.#bus.ram.words(count));
  readonly #failures: FailureDetector;
  #panicHooks: Hook[] = [];
  #onTrap: ((trap: TrapRecord, hart: HartView<X>) => void) | null = null;
  /**
   * Called at every SBI call that the built-in SBI is asked to answer (`bios: "default"`, or a kernel without `bios`). What it
   * returns is the answer; undefined leaves that to the SBI. A call answered there is no trap, so `onTrap` does not see it.
   */
  onSbiCall: ((call: SbiCall) => SbiAnswer | undefined) | null = null;
  /** Called with every SBI call after it was answered; the answer is null where the hart does not return from the call. */
  onSbiAnswer: ((call: SbiCall, answer: SbiAnswer | null) => void) | null = null;
  /** Called with each region after it was compiled. */
  onCompile: ((code: CompiledCode) => void) | null = null;
  /** Milliseconds of a clock by which the compiler's time is measured; nothing that the guest sees depends on it. */
  stopwatch: (() => number) | null = null;

  readonly #harts: readonly Hart[];
  readonly #executors: readonly Executor[];
  readonly #scheduler: Scheduler;
  readonly #count: Count;
  readonly #timeline: Timeline;
  readonly #bus: Bus;
  readonly #built: BuiltBoard;
  readonly #peripherals: Peripherals;
  readonly #semihosting: Semihosting | null;
  readonly #plan: BootPlan;
  readonly #firmware: SbiFirmware | undefined;
  readonly #definition: Board;
  readonly #compiler: CompilerOptions | null;
  readonly #reboot: boolean;
  readonly #debug: DebugAccess;
  readonly #info: DebugInfo;
  readonly #inspector: Inspector;
  #exitCode: number | undefined;
  #resetRequested = false;
  #stopRequested = false;
  /** Ends the run with this stop before the next instruction. */
  #request: StopCause | null = null;
  /** What a script's function threw: ends the run before the next instruction. */
  #error: Error | null = null;
  #isRunning = false;
  /** The run that is in progress. */
  #running: Promise<Stop> | null = null;
  /** Virtual nanoseconds at which the run ends. */
  #deadline = Infinity;
  readonly #resetListeners = new Set<() => void>();
  /** Instructions between looks at whether the guest is stuck, and how many are executed at the next one. */
  #unseen = TURN / 2;
  #nextLook = 0;
  #slices = 0;
  #wake: (() => void) | null = null;
  /** Something has happened since execution last looked at the host. */
  #woken = false;

  /**
   * Builds a machine. Files named by path are read through the host.
   *
   * @throws {OptionError} If an option or value does not exist, or does not fit the others.
   * @throws {LoadError} If a file cannot be loaded.
   */
  static async create<X extends 32 | 64 = 32 | 64>(options: MachineOptions = {}): Promise<Machine<X>> {
    // Deno's first message makes V8 throw away all optimised code that uses typed arrays, so it should not come during a run.
    await turn();
    const machine = new Machine<X>(options);
    if (machine.#info.files.some(({ hasCpp }) => hasCpp)) {
      const demangle = await loadCppDemangler();
      if (demangle !== undefined) machine.symbols.cppDemangler = demangle;
    }
    return machine;
  }

  private constructor(options: MachineOptions) {
    const boardName = options.machine ?? "virt", definition = BOARDS.get(boardName);
    if (definition === undefined) {
      const known = [...BOARDS.keys()], guess = nearest(boardName, known) || `; there are ${known.join(" and ")}`;
      throw new OptionError(`-machine ${boardName}: no such board${guess}`);
    }
    if (options.aclint && !definition.hasAclint) {
      throw new OptionError(`-machine ${boardName},aclint=on: ${boardName} has a CLINT only`);
    }
    this.board = boardName;
    this.#definition = definition;
    this.#reboot = options.reboot ?? true;
    const file = (source: FileSource | undefined, option: string, read = readFile) =>
      source === undefined ? undefined : read(source, option);
    const kernel = file(options.kernel, "-kernel", readProgram);
    const bios = options.bios === "none" || options.bios === "default"
      ? ({ none: "none", default: "sbi" } as const)[options.bios]
      : file(options.bios, "-bios", readProgram);
    const loaders = (options.loaders ?? []).map((loader) => ({
      ...loader,
      file: file(loader.file, "-device loader,file=", loader.forceRaw ? readFile : readProgram),
    }));
    const dtb = file(options.dtb, "-dtb");

    const xlen = xlenOf([typeof bios === "string" ? undefined : bios, kernel, ...loaders.map((l) => l.file)]);
    const cpu = parseCpu(options.cpu ?? `rv${xlen}`, xlen);
    this.xlen = cpu.xlen as X;
    const memorySize = parseMemorySize(options.memory ?? "128M");
    const smp = options.smp ?? 1;
    if (!Number.isInteger(smp) || smp < 1 || smp > definition.maxHarts) {
      throw new OptionError(`-smp ${smp}: ${boardName} has 1 to ${definition.maxHarts} harts`);
    }
    const quantum = options.quantum ?? DEFAULT_QUANTUM;
    if (!Number.isInteger(quantum) || quantum < 1 || quantum > MAX_QUANTUM) {
      throw new OptionError(`-smp quantum=${quantum}: a whole number from 1 to ${MAX_QUANTUM}`);
    }
    const accel = parseAccel(options.accel ?? "jit");
    const shift = options.icountShift ?? 0;
    if (!Number.isInteger(shift) || shift < 0 || shift > 10) {
      throw new OptionError(`-icount shift=${shift}: a whole number from 0 to 10`);
    }

    const range = { name: "RAM", address: definition.ramBase, size: memorySize };
    this.#peripherals = planPeripherals(options, definition);
    const initrd = file(options.initrd, "-initrd");
    // Firmware in the second flash chip starts the kernel itself, and gets it by fw_cfg, as with QEMU.
    const started = this.#peripherals.flash[1] !== undefined && kernel !== undefined;
    const fwCfg = fwCfgContents({
      harts: smp,
      ...(started && { kernel: wholeFile(kernel), ...(initrd && { initrd: initrd.bytes }) }),
      ...(options.append !== undefined && { append: options.append }),
    });
    const plan = planBoot({
      ...flashBoot(definition.flash, this.#peripherals),
      xlen: cpu.xlen,
      harts: smp,
      memory: range,
      ...(bios && { bios }),
      ...(!started && { ...(kernel && { kernel }), ...(initrd && { initrd }) }),
      loaders: loaders.map(({ address, data, file, ...rest }) => ({
        ...rest,
        ...(file && { file }),
        ...(address !== undefined && { address: Number(address) }),
        ...(data !== undefined && { data: BigInt(data) }),
      })),
    });

    const ram = new Ram(range.address, range.size, smp);
    this.#count = new Count(ram.words(32));
    this.#timeline = new Timeline(this.#count, shift, options.hostClock);
    this.#bus = new Bus(ram, `${boardName}.ram`);
    this.#harts = Array.from({ length: smp }, (_, id) =>
      new Hart({
        id,
        xlen: cpu.xlen,
        extensions: cpu.extensions,
        pmp: cpu.pmp,
        addressBits: cpu.addressBits,
        count: this.#count,
        memory: this.#bus,
      }));
    const exit = (code: number) => {
      this.#exitCode = code;
      this.#count.stop();
    };
    const reset = () => {
      this.#resetRequested = true;
      this.#count.stop();
    };
    this.watchpoints = new Watchpoints(this.#bus.ram, this.#harts);
    this.console = new Console();
    this.#built = definition.build({
      bus: this.#bus,
      harts: this.#harts,
      timeline: this.#timeline,
      console: this.console,
      peripherals: this.#peripherals,
      elfs: plan.elfs,
      fwCfg,
      aclint: options.aclint ?? false,
      exit,
      reset,
    });
    if (plan.builtInSbi) {
      if (!cpu.extensions.has("S")) {
        throw new OptionError(`-bios default needs a hart with supervisor mode (-cpu s=on)`);
      }
      const console = { write: (byte: number) => this.console.transmit(byte), read: () => this.#built.receive?.() };
      this.#firmware = new SbiFirmware({ harts: this.#harts, memory: this.#bus, console, exit, reset });
      this.#firmware.onCall = (call) => this.onSbiCall?.(call);
      this.#firmware.onAnswer = (call, answer) => this.onSbiAnswer?.(call, answer);
    }
    const tree = withSocNodes(
      this.#built.deviceTree,
      deviceNodes(options.mmio ?? [], this.#built.interrupts),
    );
    this.deviceTree = dtb === undefined
      ? buildDeviceTree(withChosen(tree, this.#built.stdoutPath, plan, options.append))
      : buildDeviceTree(withChosen(parseDeviceTree(dtb.bytes, dtb.name).root, undefined, plan, options.append));
    const room = dtb === undefined ? generatedDeviceTreeRoom : deviceTreeFileRoom(dtb.bytes.length);
    const passed = plan.builtInSbi ? withRoom(this.deviceTree, FIRMWARE_ROOM) : this.deviceTree;
    this.#plan = addDeviceTree(plan, range, passed, room);
    this.#bus.addRom(
      `${boardName}.mrom`,
      definition.resetVector,
      resetRom(cpu.xlen, this.#plan, definition.romSize),
    );
    this.warnings = [...this.#plan.warnings, ...this.#peripherals.warnings];
    this.symbols = new Symbols();
    this.#info = new DebugInfo(this.symbols);
    for (const elf of this.#plan.elfs) this.#info.add(loadedFile(elf));
    for (const { file, offset = 0 } of options.symbols ?? []) {
      this.#info.add(new SymbolFile(openFile(file, "-symbols"), { offset: BigInt(offset) }));
    }

    this.harts = this.#harts.map((hart) => new HartView<X>(hart));
    this.memory = new MemoryView(this.#bus);
    this.#compiler = accel.compiler;
    const keepsHistory = accel.history ?? options.failures !== false;
    this.#executors = this.#harts.map((hart) => new Executor(hart, accel.compiler, null, keepsHistory));
    for (const { code } of this.#executors) {
      if (code === null) continue;
      code.onCompile = (made) => this.onCompile?.(this.#show(made));
      code.stopwatch = () => this.stopwatch?.() ?? 0;
    }
    const reservations = new Reservations(this.#harts, this.#bus.ram);
    this.#bus.onWatchedWrite = (offset, length) => {
      reservations.written(offset, length);
      invalidateCode(this.#executors, this.#bus.ram, offset, length);
    };
    this.#bus.onCodeChange = (physical, length) => {
      for (const executor of this.#executors) executor.reread(physical, length);
    };
    this.#bus.onForeignWrite = (offset, length) => reservations.writtenFromOutside(offset, length);
    this.#scheduler = new Scheduler(this.#harts, this.#count, quantum, reservations);
    this.console.onInput = () => {
      this.#semihosting?.inputChanged();
      this.#wakeUp();
    };
    this.console.driver = this.#driver();
    const ports = (options.mmio ?? []).flatMap(({ device }) => device instanceof SerialPort ? [device.console] : []);
    const others = [...ports, ...this.#peripherals.chardevs.values()];
    this.consoles = new Map([this.console, ...others].map((console) => [console.name, console]));
    if (this.consoles.size <= others.length) {
      throw new OptionError(
        `consoles need different names: ${[this.console, ...others].map(({ name }) => name).join(", ")}`,
      );
    }
    for (const console of others) {
      console.onInput = () => this.#wakeUp();
      console.driver = this.#driver();
    }
    for (const port of this.#peripherals.networks.values()) port.onArrival = () => this.#wakeUp();
    this.mmio = new Mmio({
      bus: this.#bus,
      clock: this.#timeline,
      memory: this.memory,
      watchpoints: this.watchpoints,
      interrupts: this.#built.interrupts,
      board: boardName,
      fail: (error, what) => this.#fail(error, what),
    });
    this.#codeHooks.executors = this.#executors;
    this.hook = new Hooks<X>({
      xlen: this.xlen,
      harts: this.harts as unknown as readonly HartView<32 | 64>[],
      rawHarts: this.#harts,
      symbols: this.symbols,
      debug: () => this.#debug,
      code: this.#codeHooks,
      watchpoints: this.watchpoints,
      bus: this.#bus,
      lineAddresses: (file, line) => this.#info.lineAddresses(file, line),
      decode: (word) => this.#executors[0]!.decoder.decode(word),
      stop: () => this.stop(),
      fail: (error, what) => this.#fail(error, what),
    });
    this.#failures = new FailureDetector({
      harts: this.#harts,
      instructions: () => this.#count.instructions(),
      end: (cause) => this.#end(cause),
      mayHappen: () =>
        this.interactive || this.#timeline.cyclesToNext() !== Infinity || this.#timeline.hostWait() !== undefined,
      isAlone: () => this.#isRunning && this.#debug.control.attached === 0,
      isExecutable: (hart, address) => {
        const physical = this.#debug.translate(hart.id, address);
        return physical !== undefined && this.#bus.executable(Number(physical & ~4095n)) !== null;
      },
    });
    this.failures = options.failures ?? {};
    this.count = new Counters(this.hook as unknown as Hooks);
    for (const { address, device, irq } of options.mmio ?? []) {
      this.mmio.map(address, device, irq === undefined ? {} : { irq });
    }
    this.#debug = new DebugAccess(this, {
      harts: this.#harts,
      bus: this.#bus,
      watchpoints: this.watchpoints,
      images: this.#plan.images,
      reset: () => this.#resetFromOutside(),
      disassemble: (bytes, address) => this.#disassemble(bytes, address),
      backtrace: (hart) => this.#inspector.backtrace(hart).toString(),
    });
    this.#inspector = new Inspector(this.#debug, this.#info, this.#executors[0]!.decoder);
    this.#semihosting = connectSemihosting(options, {
      debug: this.#debug,
      console: this.console,
      images: [...this.#plan.images, ...this.#plan.patches],
      ram: this.#bus.ram,
      startTime: this.#peripherals.rtcBase,
      now: () => this.#timeline.now(),
      mayComeInput: () => this.interactive,
      exit,
    });
    this.#debug.control.onChange = () => {
      this.#count.stop();
      this.#wakeUp();
    };
    this.#powerOn();
  }

  /** The first hart. */
  get hart(): HartView<X> {
    return this.harts[0]!;
  }
  /** Called at every trap that a hart takes. */
  get onTrap(): ((trap: TrapRecord, hart: HartView<X>) => void) | null {
    return this.#onTrap;
  }
  set onTrap(onTrap: ((trap: TrapRecord, hart: HartView<X>) => void) | null) {
    this.#onTrap = onTrap;
    this.#harts.forEach((hart, k) => {
      hart.onTrap = onTrap === null ? null : (trap) => this.#onTrap!(trap, this.harts[k]!);
    });
  }

  /** The hart whose turn it is: it executes next unless it waits. After a run, the one that executed last. */
  get current(): HartView<X> {
    return this.harts[this.#scheduler.current.id]!;
  }
  /**
   * The other end of a network card: the `-netdev` with this id.
   *
   * @throws {OptionError} If there is none.
   */
  net(id: string): NetworkPort {
    const { networks } = this.#peripherals, port = networks.get(id);
    if (port === undefined) throw new OptionError(`no netdev ${id}${nearest(id, [...networks.keys()])}`);
    return port;
  }
  /**
   * The other end of a virtconsole or virtserialport: the `-chardev` with this id.
   *
   * @throws {OptionError} If there is none.
   */
  chardev(id: string): Console {
    const { chardevs } = this.#peripherals, console = chardevs.get(id);
    if (console === undefined) throw new OptionError(`no chardev ${id}${nearest(id, [...chardevs.keys()])}`);
    return console;
  }

  /** Instructions executed since power-on, by all harts. */
  get instructions(): number {
    return this.#count.instructions();
  }
  /** Virtual nanoseconds since power-on. */
  get nanoseconds(): number {
    return this.#timeline.now();
  }

  /** What the compiler has done so far, for all harts together; undefined where everything is interpreted. */
  get compilerStatistics(): Readonly<CompilerStatistics> | undefined {
    if (this.#compiler === null) return undefined;
    return sumOfStatistics(this.#executors.flatMap(({ code }) => code === null ? [] : [code.totals()]));
  }

  /**
   * The functions that a hart is in, from the innermost on, with source lines and arguments where the program has debug
   * information. Looking has no side effects.
   */
  backtrace(hart: HartView<X> = this.hart): Backtrace {
    return this.#inspector.backtrace(hart.id);
  }

  /**
   * A variable of the program that the guest runs, by its debug information: `sched.runq.len`, `*list->head`, `table[3].name`,
   * `kernel::COUNTER`.
   *
   * @param name A name as the source has it, with steps as in C.
   * @param where The hart and the number of its frame in whose function the name is looked for first. Default: hart 0, frame 0.
   * @throws {AddressError} If there is no such variable, or it has no value here.
   */
  variable(name: string, where: { readonly hart?: HartView<X>; readonly frame?: number } = {}): Variable {
    return this.#inspector.variable(name, (where.hart ?? this.hart).id, where.frame ?? 0);
  }

  /**
   * The source line of an address or symbol; undefined if no debug information says it.
   *
   * @throws {AddressError} If there is no such symbol.
   */
  source(where: number | bigint | string): SourcePosition | undefined {
    return this.#inspector.source(this.#address(where));
  }

  /**
   * The JavaScript that the compiler makes of the code at an address or symbol, with the guest's instructions as comments;
   * undefined where that cannot be compiled.
   *
   * @throws {AddressError} If there is no such symbol.
   */
  compiledText(where: number | bigint | string): string | undefined {
    return this.#codeAt(this.#address(where))?.javascript;
  }

  /** The region that is entered at an address, or would be. */
  #codeAt(address: bigint): CompiledCode | undefined {
    const made = this.#executors[0]!.explain(
      Number(BigInt.asIntN(32, address)),
      Number(BigInt.asIntN(32, address >> 32n)),
    );
    return made === null ? undefined : this.#show(made);
  }

  #show(made: Compilation): CompiledCode {
    const { decoder } = this.#executors[0]!;
    return new CompiledCode(made, { decoder, options: this.#compiler!, symbol: (address) => this.#symbol(address) });
  }

  /**
   * All regions that overlap a range, each as text: why it was compiled, its instructions in objdump's syntax with their IR,
   * and the JavaScript. If there is none, what the compiler would make of the code there now; undefined if that cannot be
   * compiled or everything is interpreted.
   *
   * @param where An address, a symbol (all that it names), or ranges of both as `-dfilter` takes them.
   * @throws {AddressError} If the text is neither a symbol nor a range.
   */
  explainCode(where: number | bigint | string): string | undefined {
    const ranges = parseAddressRanges(String(where), this.symbols);
    const all = this.#executors.flatMap(({ code }) => code?.compilations() ?? []).map((made) => this.#show(made));
    const here = all.filter((code) => ranges.some((range) => code.overlaps(range)));
    // Harts have regions of their own, which are mostly the same.
    if (here.length > 0) return [...new Set(here.map(String))].join("\n");
    return this.#codeAt(ranges[0]!.first)?.toString();
  }

  /** Loads what the plan says and puts everything into its state after power-on. */
  #powerOn(): void {
    const write = ({ address, bytes, memorySize }: LoadPiece) => {
      this.#bus.writeBytes(address, bytes, true);
      if (memorySize > bytes.length) {
        const start = address + bytes.length - this.#bus.ram.base, end = address + memorySize - this.#bus.ram.base;
        if (start < 0 || end > this.#bus.ram.size) return;
        this.#bus.ram.u8.fill(0, start, end);
        this.#bus.wrote(start, end - start);
      }
    };
    this.#plan.images.forEach(write);
    this.#plan.patches.forEach(write);
    for (const device of this.#built.devices) device.reset();
    this.mmio.reset();
    this.#semihosting?.reset();
    for (const hart of this.#harts) {
      hart.reset();
      hart.pc = this.#plan.startAt.get(hart.id) ?? BigInt(this.#definition.resetVector);
    }
    this.#firmware?.powerOn(BigInt(this.#plan.entry), BigInt(this.#plan.deviceTree!), this.#plan.startAt);
    this.#scheduler.reset();
  }

  /**
   * Resets the machine as its reset button would: devices and harts are reset, ROM and loaded images are as they were.
   * Other memory keeps its contents, and the counts of instructions and time go on.
   */
  reset(): void {
    this.#count.end();
    this.#exitCode = undefined;
    this.#resetRequested = false;
    this.#unseen = TURN / 2;
    this.#nextLook = 0;
    this.#powerOn();
  }

  /** A reset by a debugger: at once, or (`-no-reboot`) the end of the run. */
  #resetFromOutside(): void {
    if (this.#reboot) return this.reset();
    this.#resetRequested = true;
    this.#debug.control.resume();
    this.#wakeUp();
  }

  /**
   * The instruction at an address or symbol, as text in objdump's syntax with symbols; undefined where there is no memory.
   *
   * @throws {AddressError} If there is no such symbol.
   */
  disassemble(where: number | bigint | string): InstructionText | undefined {
    const pc = this.#address(where), at = Number(pc);
    const bytes = this.#bus.readBytes(at, 4) ?? this.#bus.readBytes(at, 2);
    return bytes && this.#disassemble(bytes, pc);
  }

  #disassemble(bytes: Uint8Array, pc: bigint): InstructionText {
    const word = bytes.reduce((sum, byte, k) => sum + byte * 2 ** (8 * k), 0);
    const symbol = (address: bigint) => this.#symbol(address);
    const { text, length } = disassemble(this.#executors[0]!.decoder, word, pc, { symbol });
    return { text, length, word: length === 2 ? word & 0xffff : word };
  }

  /**
   * The instructions that a hart has executed last, the latest last: at most 20. Those that trapped are among them. Empty unless
   * they are noted, which `failures: false` or `accel: "jit,history=off"` turns off. Noting them costs a few percent of speed and changes
   * nothing else.
   */
  history(hart: HartView<X> = this.hart): ExecutedInstruction<X>[] {
    return executedInstructions(this.#executors[hart.id]!.history.last(), this.xlen, {
      read: (pc, length) => this.#debug.read(hart.id, pc, length),
      disassemble: (bytes, pc) => this.#disassemble(bytes, pc),
      format: (pc) => this.symbols.format(pc),
    });
  }

  #symbol(address: bigint): string | undefined {
    return this.symbols.at(address) === undefined ? undefined : this.symbols.format(address);
  }

  /**
   * Ends the run: after the present instruction if called while the guest executes (by a hook or a device), else at the next
   * look at the host.
   */
  stop(): void {
    this.#stopRequested = true;
    this.#codeHooks.halt();
    this.#count.stop();
    this.#wakeUp();
  }

  /** Drives an interrupt of the board's controller, as a device would: `irq(5, true)` raises it, `irq(5, false)` lowers it. */
  irq(number: number, level: boolean): void {
    this.mmio.line(number).set(level);
  }

  /** Which failures of the guest end a run; false: none but a deadlock of harts that wait. */
  get failures(): FailureOptions {
    return this.#failures.options;
  }
  set failures(options: FailureOptions | false) {
    const none = { deadlock: false, trapLoop: false, resetLoop: false, noProgress: false };
    this.#failures.options = options === false ? none : options;
    for (const hook of this.#panicHooks.splice(0)) hook.remove();
    const panic = options === false ? false : options.panic ?? false;
    if (panic === false) return;
    const { symbols = PANIC_SYMBOLS, patterns = PANIC_PATTERNS, grace } = panic === true ? {} : panic;
    for (const symbol of symbols) {
      if (this.symbols.lookup(symbol) === undefined) continue;
      this.#panicHooks.push(this.hook.instruction(symbol, ({ pc }) => {
        this.#failures.panicked(`${this.symbols.format(BigInt(pc))} was called`, grace);
        this.#count.stop();
      }));
    }
    this.#panicHooks.push(this.console.onLine(patterns, (line) => {
      this.#failures.panicked(`it printed ${JSON.stringify(line.trimEnd())}`, grace);
      this.#count.stop();
    }));
  }

  /** Ends the run before the next instruction, with a stop of this kind. */
  #end(cause: StopCause): void {
    this.#request ??= cause;
    this.#count.stop();
  }

  /** Ends the run before the next instruction with an error that a script's function has thrown. */
  #fail(cause: unknown, what: string): void {
    const { pc } = this.#scheduler.current, message = cause instanceof Error ? cause.message : String(cause);
    this.#error ??= new HookError(`${what}, at ${this.symbols.format(pc)}: ${message}`, pc, cause);
    this.#count.stop();
    this.#wakeUp();
  }

  /** How expectations of consoles make the guest go on. */
  #driver(): ExpectDriver {
    let paused = false;
    return {
      run: async (limits) => {
        paused = false;
        const stop = await (this.#running ?? this.run(limits));
        return paused && stop.kind === "paused" ? null : stop;
      },
      pause: () => {
        paused = true;
        this.#end({ kind: "paused" });
      },
      now: () => this.#timeline.now(),
      instructions: () => this.#count.instructions(),
      report: (stop) => this.explain(stop),
      onReset: (listener) => {
        this.#resetListeners.add(listener);
        return () => this.#resetListeners.delete(listener);
      },
    };
  }

  /** What there is to say about where the guest is, in several lines: for messages. */
  explain(stop: Stop): string {
    return failureReport(this, stop);
  }

  /** Ends a wait for the host, also one that is about to begin. */
  #wakeUp(): void {
    this.#woken = true;
    this.#wake?.();
  }

  #address(where: number | bigint | string): bigint {
    if (typeof where !== "string") return BigInt(where);
    const address = this.symbols.lookup(where);
    if (address === undefined) {
      throw new AddressError(`no symbol ${where}${nearest(where, [...this.symbols.names()])}`);
    }
    return address;
  }

  #stop(cause: StopCause): Stop {
    this.#count.end();
    const stop = this.#failures.named(cause);
    const { id, pc } = this.#scheduler.current;
    return { ...stop, hart: id, pc, instructions: this.#count.instructions() };
  }

  /**
   * Executes up to `most` instructions; undefined if it executed them all. `pass`: ignore a breakpoint at the pc of the hart
   * whose turn it is.
   */
  #advance(most: number, pass: boolean): Stop | undefined {
    const target = this.#count.instructions() + most, { current } = this.#scheduler;
    const breakpoints = this.#debug.breakpoints.changes();
    if (breakpoints !== null) { for (const executor of this.#executors) executor.setBreakpoints(breakpoints); }
    for (;;) {
      if (this.#error !== null) {
        const error = this.#error;
        this.#error = null;
        throw error;
      }
      if (this.#exitCode !== undefined) return this.#stop({ kind: "exit", code: this.#exitCode });
      if (this.#request !== null) {
        const cause = this.#request;
        this.#request = null;
        return this.#stop(cause);
      }
      if (this.#stopRequested) return this.#stop({ kind: "stopped" });
      if (this.#resetRequested) {
        this.#resetRequested = false;
        if (!this.#reboot) return this.#stop({ kind: "reset" });
        this.reset();
        for (const listener of this.#resetListeners) listener();
        this.#failures.reset();
        continue;
      }
      this.#timeline.expire();
      const left = target - this.#count.instructions();
      if (left <= 0) return undefined;
      const untilDeadline = this.#timeline.cyclesTo(this.#deadline);
      if (untilDeadline <= 0) return this.#stop({ kind: "budget" });
      const hart = this.#scheduler.next();
      if (hart === undefined) {
        const cycles = this.#timeline.cyclesToNext();
        if (cycles === Infinity || this.#timeline.hostWait() !== undefined) return this.#stop({ kind: "deadlock" });
        this.#count.idle += Math.min(cycles, untilDeadline);
        continue;
      }
      this.#count.start(
        Math.min(
          left,
          this.#scheduler.left,
          Math.max(1, this.#timeline.cyclesToNext()),
          untilDeadline,
          Math.max(1, this.#failures.left),
          this.#slices++ < FIRST_SLICES ? FIRST_SLICE : MAX_SLICE,
        ),
      );
      this.#failures.executes(hart);
      const reached = this.#executors[hart.id]!.run(pass && hart === current);
      if (hart === current) pass = false;
      this.#count.end();
      if (reached) return this.#stop({ kind: "breakpoint" });
      if (this.#debug.control.wanted !== null) return undefined;
    }
  }

  /**
   * Runs until the guest ends, `until` is reached, `maxInstructions` are executed, or nothing can happen any more. Long runs
   * let the host's event loop turn now and then.
   *
   * @throws {AddressError} If `until` is not a symbol.
   */
  run(options: RunOptions = {}): Promise<Stop> {
    if (this.#running !== null) {
      return Promise.reject(new OptionError("run: the machine is running already; await that run, or stop it"));
    }
    const running = this.#run(options).finally(() => this.#running = null);
    this.#running = running;
    return running;
  }

  async #run(options: RunOptions): Promise<Stop> {
    const budget = options.maxInstructions ?? Infinity;
    if (!(budget >= 0)) throw new OptionError(`maxInstructions: ${budget} is not a count`);
    const seconds = options.maxVirtualSeconds ?? Infinity;
    if (!(seconds >= 0)) throw new OptionError(`maxVirtualSeconds: ${seconds} is no time`);
    this.#deadline = this.#timeline.now() + seconds * 1e9;
    const until = options.until === undefined ? undefined : BigInt.asUintN(this.xlen, this.#address(options.until));
    const end = this.#count.instructions() + budget;
    const { control, breakpoints } = this.#debug, owner = {};
    if (until !== undefined) breakpoints.add(owner, { kind: "virtual", address: until });
    this.#stopRequested = false;
    this.#request = null;
    this.#isRunning = true;
    this.#failures.begin();
    control.running = true;
    try {
      for (let first = true;; first = false) {
        if (control.wanted !== null) control.stopped(control.wanted);
        if (control.halted) {
          await this.onTurn?.();
          await this.#untilResumed();
          if (this.#stopRequested) return this.#stop({ kind: "stopped" });
          // As where a run begins, the breakpoint at pc is the one that was reached before.
          first = true;
        }
        for (const hart of this.#harts) hart.held = control.holds(hart.id);
        const left = end - this.#count.instructions();
        this.#woken = false;
        const stop = control.step === null
          ? this.#debug.observer === null
            ? this.#advance(Math.min(left, TURN), first)
            : this.#observed(Math.min(left, STEPS), first)
          : this.#steps(control.step, Math.min(left, STEPS), first);
        if (stop?.kind === "breakpoint") {
          if (until !== undefined && this.#stopsAt(owner)) return stop;
          control.stopped({ kind: "breakpoint", hart: stop.hart });
          continue;
        }
        if (stop !== undefined && stop.kind !== "deadlock") {
          control.stopped({ kind: "exit", code: stop.kind === "exit" ? stop.code : 0 });
          return stop;
        }
        if (this.#count.instructions() >= end) return this.#stop({ kind: "budget" });
        if (stop === undefined && this.#isStuck(end)) return this.#stop({ kind: "no-progress" });
        if (control.halted || control.wanted !== null) continue;
        await this.onTurn?.();
        if (stop === undefined) await this.#turn();
        else if (!await this.#waitForHost()) return stop;
        if (this.#stopRequested) return this.#stop({ kind: "stopped" });
      }
    } finally {
      for (const hart of this.#harts) hart.held = false;
      breakpoints.removeAll(owner);
      this.#deadline = Infinity;
      this.#isRunning = false;
      control.running = false;
    }
  }

  /** Whether the guest is in a loop that changes nothing and that nothing can end. Executes some turns of it. */
  #isStuck(end: number): boolean {
    const now = this.#count.instructions(), most = end - now;
    if (now < this.#nextLook) return false;
    const hart = this.#failures.mayBeStuck();
    if (hart === null || !this.#codeHooks.isEmpty) return false;
    this.#unseen = Math.min(2 * this.#unseen, LONGEST_UNSEEN);
    this.#nextLook = now + this.#unseen;
    const loop = new StillLoop(hart, this.#bus, this.#debug, this.#executors[0]!.decoder);
    for (let k = 0; k < Math.min(most, LONGEST_LOOP); k++) {
      const verdict = loop.look();
      if (verdict !== undefined) return verdict;
      if (this.#advance(1, false) !== undefined) return false;
    }
    return false;
  }

  /** Whether somebody has a breakpoint at the present pc of the hart whose turn it is. */
  #stopsAt(owner: object): boolean {
    const { id, pc } = this.#scheduler.current;
    return this.#debug.breakpoints.stops(owner, pc, this.#debug.translate(id, pc));
  }

  /** As `#advance`, instruction by instruction for an observer if there is one. */
  #observed(most: number, pass: boolean): Stop | undefined {
    const { observer, control } = this.#debug;
    if (observer === null) return this.#advance(most, pass);
    for (let n = 0; n < most && control.wanted === null; n++) {
      observer.before();
      const stop = this.#advance(1, pass && n === 0);
      if (stop?.kind !== "deadlock" && stop?.kind !== "breakpoint") observer.after(this.#scheduler.current.id);
      if (stop !== undefined) return stop;
    }
    return undefined;
  }

  /**
   * Executes the instructions that a debugger wants one by one. Undefined if some are left, or all were made and the machine is
   * halted.
   */
  #steps(step: Step, most: number, pass: boolean): Stop | undefined {
    const hart = this.#harts[step.hart]!,
      { control } = this.#debug,
      { start, end } = step.range ?? { start: 0n, end: 0n };
    for (let n = 0; n < most; n++) {
      hart.holdsInterrupts = !step.interrupts;
      if (hart.wakes()) this.#scheduler.give(hart.id);
      const stop = this.#observed(1, pass && n === 0);
      hart.holdsInterrupts = false;
      if (stop !== undefined || control.wanted !== null) return stop;
      // While it waits, others execute.
      if (this.#scheduler.current !== hart) continue;
      if (hart.pc < start || hart.pc >= end) {
        control.stopped({ kind: "step", hart: step.hart });
        return undefined;
      }
      // What it steps over may be waiting for them.
      for (const other of this.#harts) {
        if (other === hart || !other.wakes()) continue;
        this.#scheduler.give(other.id);
        const reached = this.#observed(1, false);
        if (reached !== undefined || control.wanted !== null) return reached;
      }
    }
    return undefined;
  }

  /** Lets the host's event loop turn. */
  async #turn(): Promise<void> {
    if (this.#debug.control.attached === 0) return await turn();
    const now = performance.now();
    if (now - this.#lastTimer < SOCKET_TURN) return await turn();
    this.#lastTimer = now;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  #lastTimer = 0;

  /** Waits until a debugger that holds the machine lets it go, or the run is to be stopped. */
  async #untilResumed(): Promise<void> {
    while (this.#debug.control.halted && !this.#stopRequested) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    this.#wake = null;
  }

  /** Set by whoever feeds the console from outside: a machine that waits is then no deadlock. */
  interactive = false;

  /**
   * Called each time a run lets the host's event loop turn: every few million instructions, and before it waits for the
   * host. The run goes on when the promise is fulfilled, so a slow reader of the console can slow the guest down.
   */
  onTurn: (() => Promise<void> | void) | null = null;

  /** True if time follows the host's clock and something will happen at a later time of it. */
  get waitsForHost(): boolean {
    return Number.isFinite(this.#timeline.hostWait() ?? Infinity);
  }

  /** Waits for console input or the host's clock; false if neither can come. */
  async #waitForHost(): Promise<boolean> {
    if (this.#woken) return true;
    const wait = this.#timeline.hostWait();
    if (!this.interactive && this.#debug.control.attached === 0 && (wait === undefined || wait === Infinity)) {
      return false;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (wait !== undefined && wait !== Infinity) timer = setTimeout(resolve, Math.min(wait / 1e6, MAX_TIMEOUT));
    });
    clearTimeout(timer);
    this.#wake = null;
    return true;
  }

  /**
   * Executes one instruction of the hart whose turn it is, after taking the interrupt that comes before it if there is one.
   * The stop names that hart; `current` may already be another.
   */
  step(): Stop {
    this.#stopRequested = false;
    return this.#advance(1, true) ?? this.#stop({ kind: "budget" });
  }

  /** Frees what the machine holds: what was written to drives is made to last, and their files are closed. */
  [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    this.#peripherals.drives.close();
    this.#semihosting?.reset();
    return Promise.resolve();
  }
}

/** Width of the first ELF among the files; 64 if there is none. */
function xlenOf(files: readonly (ImageFile | undefined)[]): 32 | 64 {
  for (const file of files) {
    const xlen = file && elfXlen(file.bytes);
    if (xlen) return xlen;
  }
  return 64;
}
