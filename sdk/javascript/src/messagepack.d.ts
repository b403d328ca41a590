/** Arrays and maps within each other. */
export const DEPTH_MAX: number;

/** Bytes that are no MessagePack, or a value that has no form in it. */
export class MessagePackError extends Error {
  readonly code: 'messagepack';
}

export type Encodable =
  null | undefined | boolean | number | string | Uint8Array | readonly Encodable[];

/** Integers are written in their shortest form. Throws MessagePackError. */
export function encode(value: Encodable): Uint8Array;
/** Reads exactly one value; integers beyond 2^53 − 1 come as bigint. Throws MessagePackError. */
export function decode(bytes: Uint8Array): any;
/** Reads one value that others may follow. Throws MessagePackError. */
export function decodeAt(bytes: Uint8Array, from?: number): { value: any; end: number };
