// A WebAssembly module, written out by hand since no compiler can be counted on:
//
//   (import "host" "call" (func $call (param i32) (result i32)))
//   (memory 1)
//   (func (export "pass") (param i32) (result i32) (call $call (local.get 0)))
//   (func (export "load") (param i32) (result i32) (i32.load (call $call (local.get 0))))
//   (func $deeper (export "deeper") (param i32) (result i32) (i32.add (call $deeper (local.get 0)) (i32.const 1)))

const section = (id: number, bytes: number[]) => [id, bytes.length, ...bytes];
const text = (string: string) => [string.length, ...Buffer.from(string)];
const body = (...code: number[]) => [code.length + 2, 0, ...code, 0x0b];

const [getLocal, call, constant, add, load] = [0x20, 0x10, 0x41, 0x6a, 0x28];

export const bytes = Uint8Array.from(
  [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, [1, 0x60, 1, 0x7f, 1, 0x7f]),
    section(2, [1, ...text("host"), ...text("call"), 0, 0]),
    section(3, [3, 0, 0, 0]),
    section(5, [1, 0, 1]),
    section(7, [3, ...text("pass"), 0, 1, ...text("load"), 0, 2, ...text("deeper"), 0, 3]),
    section(10, [
      3,
      ...body(getLocal, 0, call, 0),
      ...body(getLocal, 0, call, 0, load, 2, 0),
      ...body(getLocal, 0, call, 3, constant, 1, add),
    ]),
  ].flat(),
);

/** The same, as an expression for a program's text. */
export const source = `Uint8Array.from([${bytes.join()}])`;
