// mseccfg and the entropy source (privileged manual, section "Machine Security Configuration (mseccfg) Register", chapter
// "Smepmp"; unprivileged manual, chapter "Cryptography Extensions: Scalar & Entropy Source Instructions", section "Zkr").

import type { Extension } from "../isa/extensions.ts";
import { CSR_NUMBERS } from "../isa/csr_names.ts";
import { HIGH } from "../isa/pair.ts";
import type { CsrEntry } from "./csr.ts";
import type { Hart } from "./hart.ts";
import { MSECCFG } from "./pmp.ts";
import { PMM, PMM_RESERVED } from "./pointer_masking.ts";
import { MACHINE, SUPERVISOR } from "./trap.ts";

/** Bits of mseccfg that let user and supervisor mode read seed. */
const USEED = 1 << 8, SSEED = 1 << 9;

const MSECCFG_AT = 2 * CSR_NUMBERS["mseccfg"]!;
/** The words of seed hold the state of its generator. */
const SEED_AT = 2 * CSR_NUMBERS["seed"]!;

/** OPST of seed: 16 bits of entropy are there. */
const ES16 = 2 << 30;

/** Makes the entropy source begin anew. */
export function resetSecurity({ csrs, id }: Hart): void {
  csrs[MSECCFG_AT] = 0;
  csrs[SEED_AT] = 0x9e37_79b9 ^ id;
}

/**
 * Goes on to the next 16 bits of "entropy". Every run of a machine is the same, so these numbers are, too: xorshift from a fixed
 * state, of which nothing but the lack of patterns is promised.
 */
function nextEntropy({ csrs }: Hart): void {
  let state = csrs[SEED_AT]!;
  state ^= state << 13, state ^= state >>> 17, state ^= state << 5;
  csrs[SEED_AT] = state;
}

function seed(): [string, CsrEntry] {
  return ["seed", {
    read: ({ csrs }) => {
      HIGH[0] = 0;
      return ES16 | csrs[SEED_AT]! >>> 16;
    },
    // What is written only says that the entropy was taken.
    write: nextEntropy,
    // An instruction that does not write is illegal, so that nobody takes entropy by accident.
    allowed: ({ privilege, csrs }, writes) => {
      if (!writes) return false;
      if (privilege === MACHINE) return true;
      return (csrs[MSECCFG_AT]! & (privilege === SUPERVISOR ? SSEED : USEED)) !== 0;
    },
  }];
}

/** mseccfg and seed, where there is something in them. */
export function securityEntries(extensions: ReadonlySet<Extension>, hasPmp: boolean): [string, CsrEntry][] {
  const entropy = extensions.has("Zkr"), lockdown = hasPmp && extensions.has("Smepmp");
  const masking = extensions.has("Smmpm");
  const seeds = entropy ? USEED | (extensions.has("S") ? SSEED : 0) : 0;
  const entries: [string, CsrEntry][] = [];
  if (entropy) entries.push(seed());
  if (entropy || lockdown || masking) {
    entries.push(["mseccfg", {
      read: ({ csrs, pmp }) => {
        HIGH[0] = csrs[MSECCFG_AT + 1]!;
        return csrs[MSECCFG_AT]! | pmp.security;
      },
      write: (hart, low, high) => {
        hart.csrs[MSECCFG_AT] = low & seeds;
        if (masking && hart.xlen === 64 && (high & PMM) !== PMM_RESERVED) {
          hart.csrs[MSECCFG_AT + 1] = high & PMM;
          hart.translationChanged();
        }
        if (!lockdown) return;
        hart.pmp.security = low & (MSECCFG.MML | MSECCFG.MMWP | MSECCFG.RLB);
        hart.protectionChanged();
      },
    }], ["mseccfgh", { read: () => 0, write: () => {} }]);
  }
  return entries;
}
