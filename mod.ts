// The public API.

export type { Watch, WatchedAccess, WatchList } from "./hart/watchpoints.ts";
export type { ExecutedInstruction } from "./machine/history.ts";
export { type InstructionText, Machine, type RunOptions } from "./machine/machine.ts";
export type {
  ChardevOptions,
  DeviceOptions,
  DriveOptions,
  GlobalProperty,
  NetdevOptions,
  ObjectOptions,
} from "./machine/device_options.ts";
export type { UserNetworkOptions } from "./machine/user_network.ts";
export { type NetworkCard, NetworkHub, type NetworkPort } from "./machine/network.ts";
export { type BlockBackend, MemoryBlocks } from "./devices/block_backend.ts";
export type { FileSource, LoaderDevice, MachineOptions, SymbolSource } from "./machine/options.ts";
export type { SemihostingOptions } from "./machine/options.ts";
export { ERRNO, FileError } from "./machine/semihosting_files.ts";
export type { FileMode, SemihostingFile, SemihostingFiles } from "./machine/semihosting_files.ts";
export type { Debugging, DebugServer, ListenOptions } from "./machine/debugging.ts";
export type { Stop, StopBase } from "./machine/stop.ts";
export type { FailureOptions, PanicOptions } from "./machine/failures.ts";
export type { FloatRegisters, HartView, RegisterName, Registers, Word } from "./machine/hart_view.ts";
export type { MemoryView } from "./machine/memory_view.ts";
export type { Console, Receiver, TranscriptEntry } from "./machine/console.ts";
export type { Pattern } from "./machine/console_text.ts";
export type { ExpectDriver, ExpectOptions, ExpectResult, Within } from "./machine/expect.ts";
export type {
  Counter,
  Counters,
  CsrHandlers,
  Hook,
  Hooks,
  InstructionHookOptions,
  MemoryHookOptions,
  Place,
  Replacement,
} from "./machine/hooks.ts";
export type { CallHandlers } from "./machine/call_hooks.ts";
export type {
  AccessContext,
  CallContext,
  HookContext,
  InstructionContext,
  ReturnContext,
  TrapContext,
} from "./machine/hook_contexts.ts";
export type { DeviceAccess, DeviceHook } from "./machine/mmio_hooks.ts";
export type { InstructionSelector } from "./machine/instruction_selector.ts";
export type { TrapSelector } from "./machine/trap_selector.ts";
export { TapError } from "./machine/tap.ts";
export type { TapContext, TapReport, TapResult } from "./machine/tap.ts";
export { Device } from "./machine/mmio.ts";
export { SerialPort } from "./machine/serial_port.ts";
export type { DeviceConnection, DeviceFunctions, DeviceNode, DevicePlace, Mapping, Mmio } from "./machine/mmio.ts";
export type {
  AccessRule,
  Alarm,
  Clock,
  DeviceTreeNode,
  DeviceTreeValue,
  InterruptLine,
  Reference,
  Width,
} from "./devices/device.ts";
export type { Backtrace, Frame, FrameArgument } from "./machine/backtrace.ts";
export type { SourcePosition } from "./debug/dwarf/scopes.ts";
export type { Variable } from "./machine/variable.ts";
export type { Plain } from "./debug/dwarf/value.ts";
export type { FileOfSymbols, SymbolMatch, Symbols } from "./machine/symbols.ts";
export type { ElfSymbol, SymbolBinding, SymbolType } from "./machine/elf_sections.ts";
export type { CompiledExits, CompilerStatistics } from "./jit/statistics.ts";
export type { CompileReason } from "./jit/code_cache.ts";
export type { AddressRange, CompiledCode } from "./jit/listing.ts";
export type { TrapRecord } from "./hart/hart.ts";
export type { SbiAnswer } from "./machine/sbi/extension.ts";
export type { SbiCall } from "./machine/sbi/firmware.ts";
export { AddressError, ExpectError, HartbeatError, HookError, LoadError, OptionError } from "./machine/errors.ts";
