/* The primes of XXH64, for the file that hashes a key at a time and for that which hashes eight. */
#ifndef SHARDHASH_XXH64_STEPS_H
#define SHARDHASH_XXH64_STEPS_H

#define P1 0x9E3779B185EBCA87u
#define P2 0xC2B2AE3D27D4EB4Fu
#define P3 0x165667B19E3779F9u
#define P4 0x85EBCA77C2B2AE63u
#define P5 0x27D4EB2F165667C5u

#endif
