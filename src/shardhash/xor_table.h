/* Tables of a linear function, built by the preprocessor.
 *
 * A CRC table is linear: the entry of a byte is the exclusive or of the entries of its bits. So
 * SH_XOR_TABLE, given the entries of the eight bits, highest bit first, lists all 256 entries. */
#ifndef SHARDHASH_XOR_TABLE_H
#define SHARDHASH_XOR_TABLE_H

#define SH_XOR1(v, b0) (v), (v) ^ (b0)
#define SH_XOR2(v, b1, b0) SH_XOR1(v, b0), SH_XOR1((v) ^ (b1), b0)
#define SH_XOR3(v, b2, b1, b0) SH_XOR2(v, b1, b0), SH_XOR2((v) ^ (b2), b1, b0)
#define SH_XOR4(v, b3, b2, b1, b0) SH_XOR3(v, b2, b1, b0), SH_XOR3((v) ^ (b3), b2, b1, b0)
#define SH_XOR5(v, b4, b3, b2, b1, b0) \
    SH_XOR4(v, b3, b2, b1, b0), SH_XOR4((v) ^ (b4), b3, b2, b1, b0)
#define SH_XOR6(v, b5, b4, b3, b2, b1, b0) \
    SH_XOR5(v, b4, b3, b2, b1, b0), SH_XOR5((v) ^ (b5), b4, b3, b2, b1, b0)
#define SH_XOR7(v, b6, b5, b4, b3, b2, b1, b0) \
    SH_XOR6(v, b5, b4, b3, b2, b1, b0), SH_XOR6((v) ^ (b6), b5, b4, b3, b2, b1, b0)
#define SH_XOR_TABLE(b7, b6, b5, b4, b3, b2, b1, b0) \
    {SH_XOR7(0u, b6, b5, b4, b3, b2, b1, b0), SH_XOR7(b7, b6, b5, b4, b3, b2, b1, b0)}

#endif
