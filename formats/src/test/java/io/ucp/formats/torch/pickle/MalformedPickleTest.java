package io.ucp.formats.torch.pickle;

import static io.ucp.formats.torch.pickle.PickleRoundTripTest.bytes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.ucp.io.MalformedFileException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

class MalformedPickleTest {
    private static PickleValue read(String latin1) throws IOException {
        return PickleReader.read(Path.of("a.pt"), 1000, bytes(latin1));
    }

    static List<Arguments> malformed() {
        return List.of(
                Arguments.of("", 0, "the pickle ends inside this opcode"),
                Arguments.of("\u0080\u0002N", 3, "ends inside this opcode"),
                Arguments.of("\u0080\u0006N.", 0, "pickle protocol 6"),
                Arguments.of("\u00ff.", 0, "the byte 0xff; expected a pickle opcode"),
                Arguments.of(".", 0, "0 values on the stack; expected 1"),
                Arguments.of("K\u0001R.", 2, "1 values on the stack; expected 2"),
                Arguments.of("NN(\u0086.", 3, "0 values on the stack; expected 2"),
                Arguments.of("Nt.", 1, "no mark on the stack"),
                Arguments.of("N1.", 1, "no mark on the stack"),
                Arguments.of(
                        "X\u00ff\u00ff\u00ff\u007fabc.", 0, "2147483647 bytes more, 4 are left"),
                Arguments.of("X\u00ff\u00ff\u00ff\u00ffabc.", 0, "4294967295 bytes more"),
                Arguments.of("\u008e\0\0\0\0\0\u0001\0\0a.", 0, "1099511627776 bytes more"),
                Arguments.of(
                        "\u0096\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff.",
                        0,
                        "not negative"),
                Arguments.of(
                        "\u0095\u00ff\u00ff\u00ff\u00ff\0\0\0\0N.", 0, "4294967295 bytes more"),
                Arguments.of("\u008b\u00ff\u00ff\u00ff\u00ff.", 0, "not negative"),
                Arguments.of("T\u00ff\u00ff\u00ff\u00ff.", 0, "not negative"),
                Arguments.of("h\u0005.", 0, "memo entry 5, which is not there"),
                Arguments.of("Nr\u00ff\u00ff\u00ff\u00ff.", 1, "memo entry 4294967295"),
                Arguments.of("Np-1\n.", 1, "memo entry -1"),
                Arguments.of("q\0.", 0, "0 values on the stack"),
                Arguments.of("cos\n.", 0, "expected a line feed"),
                Arguments.of("c\nsystem\n.", 0, "a global named 'system' in module ''"),
                Arguments.of("K\u0001K\u0002\u0093.", 4, "a global named by 1"),
                Arguments.of("X\u0003\0\0\0a\nbX\u0001\0\0\0c\u0093.", 14, "a global named"),
                Arguments.of("N]R.", 2, "a call with list of 0 as arguments; expected a tuple"),
                Arguments.of("NNa.", 2, "None that is changed as a list is"),
                Arguments.of("]NNs.", 3, "list of 0 that is changed as a dict is"),
                Arguments.of("}(Nu.", 3, "a key without a value"),
                Arguments.of("(Nd.", 2, "a key without a value"),
                Arguments.of("](N\u0090.", 3, "changed as a set is"),
                Arguments.of("(N\u0091(N\u0090.", 5, "changed as a set is"),
                Arguments.of("}Nb.", 2, "whose state is set"),
                Arguments.of("(o.", 1, "an object without a class"),
                Arguments.of("\u0082\0.", 0, "the extension code 0"),
                Arguments.of("\u0097.", 0, "a buffer kept outside the pickle"),
                Arguments.of("N\u0098.", 1, "a buffer kept outside the pickle"),
                Arguments.of("X\u0001\0\0\0\u00ff.", 0, "a text that is not UTF-8"),
                Arguments.of("I1x\n.", 0, "the integer '1x'"),
                Arguments.of("L" + "9".repeat(5000) + "L\n.", 0, "at most 4300 decimal digits"),
                Arguments.of("Fone\n.", 0, "the float 'one'"),
                Arguments.of("Sabc\n.", 0, "an unquoted string"),
                Arguments.of("S'\\\n.", 0, "an unquoted string"),
                Arguments.of("S'\\x1'\n.", 0, "2 hexadecimal digits"),
                Arguments.of("V\\u12\n.", 0, "4 hexadecimal digits"),
                Arguments.of("V\\Uffffffff\n.", 0, "code point"));
    }

    @ParameterizedTest
    @MethodSource("malformed")
    void isRefusedAtTheByteOfTheOpcode(String pickle, long offset, String message) {
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> read(pickle))
                .withMessageContaining(message)
                .satisfies(e -> assertThat(e.offset()).isEqualTo(1000 + offset));
    }

    @Test
    void bytesAfterStopAreLeftAlone() throws IOException {
        assertThat(read("N.garbage")).isEqualTo(PyNone.NONE);
    }

    @Test
    void nothingIsExecuted() throws IOException {
        PickleValue tree = read("cos\nsystem\n(X\u0009\0\0\0touch pwntR.");
        PyObject call = (PyObject) tree;
        assertThat(call.isCallOf("os", "system")).isTrue();
        assertThat(call.argument(0)).contains(PyText.of("touch pwn"));
        assertThat(Path.of("pwn")).doesNotExist();
    }

    @Test
    void aListNestedTooDeepIsRefusedWhateverOrderItIsBuiltIn() {
        int n = 100_000;
        String inward = "]".repeat(n) + "a".repeat(n - 1) + ".";
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> read(inward))
                .withMessageContaining("nested more than 250 deep");
        String tuples = "]" + "\u0085".repeat(n) + ".";
        assertThatExceptionOfType(MalformedFileException.class).isThrownBy(() -> read(tuples));
        // The deepest list is met first, so a walk that only counts its own way would not see it.
        StringBuilder shallowFirst = new StringBuilder("](]");
        for (int i = 0; i < n; i++) {
            shallowFirst.append("2\u0085");
        }
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> read(shallowFirst + "e."));
    }

    @Test
    void aListOfTheDeepestKindIsReadAndWritten() throws IOException {
        String deep = "]".repeat(250) + "a".repeat(249) + ".";
        PickleValue tree = read(deep);
        assertThat(
                        PickleGraph.same(
                                tree, PickleReader.read(Path.of("b"), 0, PickleWriter.write(tree))))
                .isTrue();
    }

    @Test
    void aTreeMadeInMemoryMayBeAnyDepthForTheWriterAndForEquality() {
        PickleValue a = PyNone.NONE;
        PickleValue b = PyNone.NONE;
        for (int i = 0; i < 100_000; i++) {
            a = PyTuple.of(a);
            b = PyTuple.of(b);
        }
        assertThat(PickleWriter.write(a)).hasSizeGreaterThan(300_000);
        assertThat(PickleGraph.same(a, b)).isTrue();
        assertThat(a).isNotEqualTo(b).hasToString("tuple of 1");
    }

    @Test
    void sharingThatDoublesAtEachLevelCostsNoMoreThanItsNodes() throws IOException {
        StringBuilder bomb = new StringBuilder("]");
        for (int i = 0; i < 200; i++) {
            bomb.append("2\u0086");
        }
        PickleValue tree = read(bomb + ".");
        int[] count = {0};
        PickleGraph.forEach(tree, _ -> count[0]++);
        assertThat(count[0]).isEqualTo(201);
        byte[] written = PickleWriter.write(tree);
        assertThat(written).hasSizeLessThan(10_000);
        assertThat(PickleGraph.same(tree, PickleReader.read(Path.of("b"), 0, written))).isTrue();
    }

    @Test
    void aSetThatHoldsItselfIsCarried() throws IOException {
        PickleValue set = read("\u008f\u0094(h\0\u0090.");
        assertThat(PickleWriter.write(set)).hasSizeLessThan(100);
    }
}
