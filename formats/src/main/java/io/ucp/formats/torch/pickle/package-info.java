/// Python pickles as data: a stack machine that builds a tree, and the writer of that tree.
///
/// Nothing is imported, called or looked up. What a pickle would call becomes a node that names the
/// callable and its arguments ([PyObject]); what it would import becomes a name ([PyGlobal]).
///
/// ```
/// bytes --PickleReader--> PickleValue --PickleWriter--> bytes (protocol 2)
///                              |----TreeText, TreeJson--> for people, for other programs
/// ```
///
/// Nodes are compared by identity where Python objects are: an object that a pickle refers to twice
/// is one node, and cycles are cycles. Scalars and texts compare by value. A tree is written only
/// while it is read; afterwards it does not change, and a changed copy shares what did not change.
///
/// Source: CPython `Lib/pickletools.py` (the opcodes), `Modules/_pickle.c` (what is memoized, and
/// how items are batched).
@NullMarked
package io.ucp.formats.torch.pickle;

import org.jspecify.annotations.NullMarked;
