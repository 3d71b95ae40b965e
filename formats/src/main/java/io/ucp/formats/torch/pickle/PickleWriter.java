package io.ucp.formats.torch.pickle;

import io.ucp.io.LittleEndianBytes;

import java.math.BigInteger;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.OptionalLong;

/// Writes a tree as a protocol 2 pickle, opcode for opcode as CPython's C pickler does: a file of
/// torch's that is read and written again unchanged has the same bytes.
///
/// That takes CPython's rules for what is memoized (everything but `None`, numbers, booleans and
/// the empty tuple), for batches (1000 items), and for small forms (`BININT1`, `TUPLE2`, `APPEND`).
/// Globals are memoized by name, everything else by node. The walk does not recurse.
///
/// Source: CPython `Modules/_pickle.c`.
public final class PickleWriter {
    static final int BATCH = 1000;

    private final LittleEndianBytes out = new LittleEndianBytes(1024);
    private final IdentityHashMap<PickleValue, Integer> memo = new IdentityHashMap<>();
    private final Map<PyGlobal, Integer> globals = new HashMap<>();
    private final PickleLowering lowering = new PickleLowering();
    private final Deque<PickleFrame> frames = new ArrayDeque<>();

    private PickleWriter() {}

    public static byte[] write(PickleValue root) {
        PickleWriter writer = new PickleWriter();
        writer.run(root);
        return writer.out.toByteArray();
    }

    private void run(PickleValue root) {
        op(0x80);
        op(2);
        save(root);
        while (!frames.isEmpty()) {
            PickleValue child = frames.element().advance(this);
            if (child == null) {
                frames.pop();
            } else {
                save(child);
            }
        }
        op('.');
    }

    /// Writes a leaf or a known object at once; a container is entered.
    private void save(PickleValue value) {
        if (recall(value)) {
            return;
        }
        PickleValue lowered = lowering.lower(value);
        if (recall(lowered)) {
            return;
        }
        switch (lowered) {
            case PyNone _ -> op('N');
            case PyBool(boolean b) -> op(b ? 0x88 : 0x89);
            case PyInt i -> integer(i);
            case PyFloat(double d) -> real(d);
            case PyText text -> text(text);
            case PyGlobal global -> global(global);
            case PyExtension(int code) -> extension(code);
            case PyTuple tuple when tuple.elements().isEmpty() -> op(')');
            case PyContainer container -> frames.push(PickleFrame.of(container, this));
            case PyBytes bytes -> throw new AssertionError(bytes + " is not a protocol 2 value");
        }
    }

    boolean isKnown(PickleValue value) {
        return memo.containsKey(value);
    }

    /// Writes a reference where the value was written before.
    boolean recall(PickleValue value) {
        Integer index = value instanceof PyGlobal g ? globals.get(g) : memo.get(value);
        if (index == null) {
            return false;
        }
        if (index < 256) {
            op('h');
            op(index);
        } else {
            op('j');
            u4(index);
        }
        return true;
    }

    void memoize(PickleValue value) {
        int index = memo.size() + globals.size();
        if (value instanceof PyGlobal global) {
            globals.put(global, index);
        } else {
            memo.put(value, index);
        }
        if (index < 256) {
            op('q');
            op(index);
        } else {
            op('r');
            u4(index);
        }
    }

    void op(int code) {
        out.u1(code);
    }

    private void u4(int value) {
        out.u4(value);
    }

    private void integer(PyInt i) {
        OptionalLong small = i.asLong();
        if (small.isEmpty() || small.getAsLong() != (int) small.getAsLong()) {
            longInteger(i.value());
            return;
        }
        int n = (int) small.getAsLong();
        if (n >= 0 && n <= 0xff) {
            op('K');
            op(n);
        } else if (n >= 0 && n <= 0xffff) {
            op('M');
            op(n & 0xff);
            op(n >> 8);
        } else {
            op('J');
            u4(n);
        }
    }

    private void longInteger(BigInteger value) {
        byte[] bytes = value.toByteArray();
        if (bytes.length < 256) {
            op(0x8a);
            op(bytes.length);
        } else {
            op(0x8b);
            u4(bytes.length);
        }
        for (int i = bytes.length - 1; i >= 0; i--) {
            op(bytes[i]);
        }
    }

    private void real(double value) {
        op('G');
        out.u8(Long.reverseBytes(Double.doubleToRawLongBits(value)));
    }

    private void text(PyText text) {
        byte[] utf8 = SurrogateUtf8.encode(text.value());
        op('X');
        u4(utf8.length);
        out.bytes(utf8);
        memoize(text);
    }

    private void global(PyGlobal global) {
        op('c');
        out.bytes(SurrogateUtf8.encode(global.module()));
        op('\n');
        out.bytes(SurrogateUtf8.encode(global.name()));
        op('\n');
        memoize(global);
    }

    private void extension(int code) {
        if (code <= 0xff) {
            op(0x82);
            op(code);
        } else if (code <= 0xffff) {
            op(0x83);
            op(code & 0xff);
            op(code >> 8);
        } else {
            op(0x84);
            u4(code);
        }
    }
}
