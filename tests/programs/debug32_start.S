# debug_start.S for RV32: it saves four bytes of each register where that says eight.
  .macro sd register, place
  sw \register, \place
  .endm
  .macro ld register, place
  lw \register, \place
  .endm
#include "debug_start.S"
