/*
 * The runtime's names as the linker sees them. Every header of the runtime includes this file first.
 *
 * Here names stay as they are written. What ares export puts in this place (ares/emit/symbols.py) appends a hash of the
 * runtime's content to each of them: networks of different versions then live in one program, each with its own kernels.
 */
