package io.ucp.formats.torch.pickle;

import io.ucp.io.MalformedFileException;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// Reads a pickle of any protocol, 0 to 5, into a tree. A stack machine like Python's own, except
/// that calls and imports become nodes.
///
/// Bytes after `STOP` are left alone, as Python leaves them. A length is checked against the bytes
/// left before anything of that length is made; a tree more than [#DEEPEST] levels deep is refused,
/// so that whoever walks it may recurse.
public final class PickleReader {
    /// Far deeper than what a training job saves (a few dozen levels), and a quarter of what
    /// Python's pickler can write by default: a walk of some five calls a level then needs a
    /// quarter of the stack that a thread has, whether its code is compiled or not.
    public static final int DEEPEST = 250;

    private static final String DAMAGED =
            "the file is damaged or was not written by pickle; copy it again from where it was"
                    + " written";

    private final PickleBytes in;
    private final PickleStack stack;
    private final PickleMemo memo = new PickleMemo();

    private PickleReader(PickleBytes in) {
        this.in = in;
        this.stack = new PickleStack(in);
    }

    /// @param file for messages
    /// @param offset where `pickle` begins in the file, in bytes, for messages
    /// @throws MalformedFileException where it is no pickle, or one that cannot be data alone
    public static PickleValue read(Path file, long offset, byte[] pickle)
            throws MalformedFileException {
        PickleBytes in = new PickleBytes(file, offset, pickle);
        PickleValue root = new PickleReader(in).run();
        if (PickleGraph.depth(root, DEEPEST) > DEEPEST) {
            throw in.malformed(
                    0,
                    "objects nested more than %d deep".formatted(DEEPEST),
                    "a tree of at most that depth, as any checkpoint has",
                    "save the object again without the chain of references");
        }
        return root;
    }

    private PickleValue run() throws MalformedFileException {
        while (true) {
            in.beginOpcode();
            int code = in.u1();
            if (code == '.') {
                PickleValue root = stack.pop();
                return root;
            }
            step(code);
        }
    }

    private void step(int code) throws MalformedFileException {
        if (!atom(code) && !text(code) && !container(code) && !object(code) && !memo(code)) {
            throw in.malformed("the byte 0x%02x".formatted(code), "a pickle opcode", DAMAGED);
        }
    }

    /// Numbers, `None`, booleans, and the opcodes without a value.
    private boolean atom(int code) throws MalformedFileException {
        switch (code) {
            case 0x80 -> protocol(in.u1());
            case 0x95 -> in.length(in.s8());
            case 'N' -> stack.push(PyNone.NONE);
            case 0x88 -> stack.push(new PyBool(true));
            case 0x89 -> stack.push(new PyBool(false));
            case 'K' -> stack.push(PyInt.of(in.u1()));
            case 'M' -> stack.push(PyInt.of(in.u2()));
            case 'J' -> stack.push(PyInt.of(in.s4()));
            case 0x8a -> stack.push(integer(in.take(in.u1())));
            case 0x8b -> stack.push(integer(in.take(in.s4())));
            case 'I' -> stack.push(PickleLines.integer(in, in.line()));
            case 'L' -> stack.push(PickleLines.longInteger(in, in.line()));
            case 'F' -> stack.push(PickleLines.real(in, in.line()));
            case 'G' ->
                    stack.push(new PyFloat(Double.longBitsToDouble(Long.reverseBytes(in.s8()))));
            default -> {
                return false;
            }
        }
        return true;
    }

    private void protocol(int version) throws MalformedFileException {
        if (version > 5) {
            throw in.malformed(
                    "pickle protocol %d".formatted(version),
                    "a protocol from 0 to 5",
                    "save the object again with pickle_protocol=2");
        }
    }

    private static PyInt integer(ByteBuffer littleEndian) {
        byte[] bytes = new byte[littleEndian.remaining()];
        for (int i = bytes.length - 1; i >= 0; i--) {
            bytes[i] = littleEndian.get();
        }
        return bytes.length == 0 ? PyInt.of(0) : PyInt.of(new BigInteger(bytes));
    }

    /// Texts and bytes.
    private boolean text(int code) throws MalformedFileException {
        switch (code) {
            case 'X' -> stack.push(utf8(in.text(in.u4())));
            case 0x8c -> stack.push(utf8(in.text(in.u1())));
            case 0x8d -> stack.push(utf8(in.text(in.s8())));
            case 'V' -> stack.push(PickleLines.unicode(in, in.line()));
            case 'C' -> stack.push(PyBytes.of(array(in.take(in.u1()))));
            case 'B' -> stack.push(PyBytes.of(array(in.take(in.u4()))));
            case 0x8e -> stack.push(PyBytes.of(array(in.take(in.s8()))));
            case 0x96 -> stack.push(PyBytes.array(array(in.take(in.s8()))));
            case 'S' -> stack.push(python2(ByteBuffer.wrap(PickleLines.quoted(in, in.line()))));
            case 'T' -> stack.push(python2(in.take(in.s4())));
            case 'U' -> stack.push(python2(in.take(in.u1())));
            case 0x97, 0x98 ->
                    throw in.malformed(
                            "a buffer kept outside the pickle",
                            "a pickle that holds all of its data",
                            "save the object again without buffer_callback");
            default -> {
                return false;
            }
        }
        return true;
    }

    private static byte[] array(ByteBuffer bytes) {
        byte[] array = new byte[bytes.remaining()];
        bytes.get(array);
        return array;
    }

    private PyText utf8(Optional<String> text) throws MalformedFileException {
        return PyText.of(
                text.orElseThrow(() -> in.malformed("a text that is not UTF-8", "UTF-8", DAMAGED)));
    }

    /// A Python 2 `str` may be either: text where it is UTF-8, else bytes.
    private static PickleValue python2(ByteBuffer bytes) {
        try {
            return PyText.of(
                    StandardCharsets.UTF_8.newDecoder().decode(bytes.duplicate()).toString());
        } catch (CharacterCodingException _) {
            return PyBytes.of(array(bytes));
        }
    }

    /// Tuples, lists, dicts and sets.
    private boolean container(int code) throws MalformedFileException {
        switch (code) {
            case '(' -> stack.mark();
            case ')' -> stack.push(PyTuple.EMPTY);
            case 0x85 -> stack.push(PyTuple.of(stack.pop(1)));
            case 0x86 -> stack.push(PyTuple.of(stack.pop(2)));
            case 0x87 -> stack.push(PyTuple.of(stack.pop(3)));
            case 't' -> stack.push(PyTuple.of(stack.popToMark()));
            case ']' -> stack.push(new PyList());
            case 'l' -> stack.push(PyList.of(stack.popToMark()));
            case '}' -> stack.push(new PyDict());
            case 'd' -> {
                PyDict dict = new PyDict();
                putAll(dict, stack.popToMark());
                stack.push(dict);
            }
            case 0x8f -> stack.push(new PySet(List.of(), false));
            case 0x91 -> stack.push(new PySet(stack.popToMark(), true));
            case 'a' -> append(stack.pop(1));
            case 'e' -> append(stack.popToMark());
            case 's' -> setItems(stack.pop(2));
            case 'u' -> setItems(stack.popToMark());
            case 0x90 -> addAll(stack.popToMark());
            default -> {
                return false;
            }
        }
        return true;
    }

    private void append(List<PickleValue> elements) throws MalformedFileException {
        switch (stack.top()) {
            case PyList list -> elements.forEach(list::add);
            case PyObject object -> elements.forEach(object::append);
            case PickleValue other -> throw notA("list", other);
        }
    }

    private void addAll(List<PickleValue> elements) throws MalformedFileException {
        switch (stack.top()) {
            case PySet set when !set.isFrozen() -> elements.forEach(set::add);
            case PyObject object -> elements.forEach(object::addElement);
            case PickleValue other -> throw notA("set", other);
        }
    }

    private void setItems(List<PickleValue> keysAndValues) throws MalformedFileException {
        switch (stack.top()) {
            case PyDict dict -> putAll(dict, keysAndValues);
            case PyObject object -> {
                pairs(keysAndValues);
                for (int i = 0; i < keysAndValues.size(); i += 2) {
                    object.put(keysAndValues.get(i), keysAndValues.get(i + 1));
                }
            }
            case PickleValue other -> throw notA("dict", other);
        }
    }

    private void putAll(PyDict dict, List<PickleValue> keysAndValues)
            throws MalformedFileException {
        pairs(keysAndValues);
        for (int i = 0; i < keysAndValues.size(); i += 2) {
            dict.put(keysAndValues.get(i), keysAndValues.get(i + 1));
        }
    }

    private void pairs(List<PickleValue> keysAndValues) throws MalformedFileException {
        if (keysAndValues.size() % 2 != 0) {
            throw in.malformed("a key without a value", "keys and values in pairs", DAMAGED);
        }
    }

    private MalformedFileException notA(String kind, PickleValue found) {
        return in.malformed(
                "%s that is changed as a %s is".formatted(found, kind), "a " + kind, DAMAGED);
    }

    /// What Python would import, call or fetch from outside.
    private boolean object(int code) throws MalformedFileException {
        switch (code) {
            case 'c' -> stack.push(global(in.line(), in.line()));
            case 0x93 -> {
                List<PickleValue> names = stack.pop(2);
                stack.push(global(name(names.get(0)), name(names.get(1))));
            }
            case 0x82 -> stack.push(extension(in.u1()));
            case 0x83 -> stack.push(extension(in.u2()));
            case 0x84 -> stack.push(extension(in.s4()));
            case 'P' -> stack.push(PyPersistent.of(PyText.of(in.line())));
            case 'Q' -> stack.push(PyPersistent.of(stack.pop()));
            case 'R' -> make(PyObject.Making.CALL, stack.pop(2));
            case 0x81 -> make(PyObject.Making.NEW, stack.pop(2));
            case 0x92 -> {
                List<PickleValue> parts = stack.pop(3);
                stack.push(
                        PyObject.withKeywords(parts.get(0), arguments(parts.get(1)), parts.get(2)));
            }
            case 'i' -> {
                PyGlobal cls = global(in.line(), in.line());
                stack.push(
                        PyObject.of(PyObject.Making.INSTANCE, cls, PyTuple.of(stack.popToMark())));
            }
            case 'o' -> {
                List<PickleValue> parts = stack.popToMark();
                if (parts.isEmpty()) {
                    throw in.malformed("an object without a class", "a class", DAMAGED);
                }
                stack.push(
                        PyObject.of(
                                PyObject.Making.INSTANCE,
                                parts.getFirst(),
                                PyTuple.of(parts.subList(1, parts.size()))));
            }
            case 'b' -> build(stack.pop());
            default -> {
                return false;
            }
        }
        return true;
    }

    private void make(PyObject.Making making, List<PickleValue> callableAndArguments)
            throws MalformedFileException {
        PickleValue arguments = arguments(callableAndArguments.get(1));
        stack.push(PyObject.of(making, callableAndArguments.get(0), arguments));
    }

    private PickleValue arguments(PickleValue value) throws MalformedFileException {
        if (value instanceof PyTuple) {
            return value;
        }
        throw in.malformed("a call with %s as arguments".formatted(value), "a tuple", DAMAGED);
    }

    private void build(PickleValue state) throws MalformedFileException {
        switch (stack.top()) {
            case PyObject object -> object.change(new PyObject.Change.StateSet(state));
            case PickleValue other ->
                    throw in.malformed(
                            "%s whose state is set".formatted(other),
                            "an object made by a call",
                            DAMAGED);
        }
    }

    private PyGlobal global(String module, String name) throws MalformedFileException {
        if (module.isEmpty() || name.isEmpty() || (module + name).indexOf('\n') >= 0) {
            throw in.malformed(
                    "a global named '%s' in module '%s'".formatted(name, module),
                    "the name of a class or function",
                    DAMAGED);
        }
        return new PyGlobal(module, name);
    }

    private String name(PickleValue value) throws MalformedFileException {
        return value.asText()
                .orElseThrow(
                        () ->
                                in.malformed(
                                        "a global named by %s".formatted(value),
                                        "two texts",
                                        DAMAGED));
    }

    private PyExtension extension(int code) throws MalformedFileException {
        if (code <= 0) {
            throw in.malformed("the extension code %d".formatted(code), "1 or more", DAMAGED);
        }
        return new PyExtension(code);
    }

    /// The memo and the stack itself.
    private boolean memo(int code) throws MalformedFileException {
        switch (code) {
            case 'q' -> memo.put(in.u1(), stack.top());
            case 'r' -> memo.put(memoIndex(in.u4()), stack.top());
            case 'p' -> memo.put(PickleLines.memoIndex(in, in.line()), stack.top());
            case 0x94 -> memo.put(memo.size(), stack.top());
            case 'h' -> stack.push(remembered(in.u1()));
            case 'j' -> stack.push(remembered(memoIndex(in.u4())));
            case 'g' -> stack.push(remembered(PickleLines.memoIndex(in, in.line())));
            case '0' -> drop();
            case '1' -> {
                List<PickleValue> _ = stack.popToMark();
            }
            case '2' -> stack.push(stack.top());
            default -> {
                return false;
            }
        }
        return true;
    }

    private int memoIndex(long index) throws MalformedFileException {
        if (index > Integer.MAX_VALUE) {
            throw in.malformed("memo entry %d".formatted(index), "a number below 2^31", DAMAGED);
        }
        return (int) index;
    }

    private PickleValue remembered(int index) throws MalformedFileException {
        PickleValue value = memo.get(index);
        if (value == null) {
            throw in.malformed(
                    "a reference to memo entry %d, which is not there".formatted(index),
                    "an object named before",
                    DAMAGED);
        }
        return value;
    }

    /// `POP`. A call made and dropped at once was made for its effect on the object below it.
    private void drop() throws MalformedFileException {
        if (stack.dropMark()) {
            return;
        }
        PickleValue dropped = stack.pop();
        if (dropped instanceof PyObject call
                && call.making() == PyObject.Making.CALL
                && stack.peek() instanceof PyObject below
                && call.argument(0).filter(a -> a == below).isPresent()) {
            below.change(new PyObject.Change.Called(call));
        }
    }
}
