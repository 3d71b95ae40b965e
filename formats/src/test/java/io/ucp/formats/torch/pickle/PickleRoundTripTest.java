package io.ucp.formats.torch.pickle;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

class PickleRoundTripTest {
    static List<CpythonPickles> all() {
        return CpythonPickles.all();
    }

    static List<CpythonPickles> protocol2() {
        return CpythonPickles.all().stream().filter(p -> p.protocol() == 2).toList();
    }

    static List<CpythonPickles> later() {
        return CpythonPickles.all().stream()
                .filter(p -> p.protocol() > 2 && !p.name().equals("nested-class"))
                .toList();
    }

    @ParameterizedTest
    @MethodSource("protocol2")
    void aProtocol2PickleIsWrittenBackToTheByte(CpythonPickles pickle) throws IOException {
        assertThat(PickleWriter.write(pickle.tree())).isEqualTo(pickle.bytes());
    }

    @ParameterizedTest
    @MethodSource("all")
    void whatIsWrittenReadsAsTheSameTree(CpythonPickles pickle) throws IOException {
        PickleValue tree = pickle.tree();
        byte[] written = PickleWriter.write(tree);
        PickleValue again = PickleReader.read(CpythonPickles.FILE, 0, written);
        if (pickle.name().equals("nested-class") && pickle.protocol() >= 4) {
            // Protocol 2 has no dotted names: it reads as a getattr call, and stays one.
            assertThat(PickleWriter.write(again)).isEqualTo(written);
        } else {
            assertThat(PickleGraph.same(tree, again)).isTrue();
        }
    }

    @ParameterizedTest
    @MethodSource("later")
    void everyProtocolDescribesTheSameObject(CpythonPickles pickle) throws IOException {
        assertThat(PickleGraph.same(pickle.tree(), CpythonPickles.read(pickle.name(), 2))).isTrue();
    }

    @Test
    void protocols0And1DescribeTheSamePlainData() throws IOException {
        for (String name :
                List.of("ints", "floats", "texts", "tuples", "keys", "list-2", "dict-2")) {
            PickleValue expected = CpythonPickles.read(name, 2);
            String shape = describe(expected);
            assertThat(describe(CpythonPickles.read(name, 0))).as(name).isEqualTo(shape);
            assertThat(describe(CpythonPickles.read(name, 1))).as(name).isEqualTo(shape);
        }
    }

    /// Values without identity: CPython shares small objects differently from protocol to protocol.
    private static String describe(PickleValue value) {
        return switch (value) {
            case PyContainer container ->
                    container
                            + container.children().stream()
                                    .map(c -> describe(c))
                                    .toList()
                                    .toString();
            case PickleValue leaf -> leaf.toString();
        };
    }

    @Test
    void sharedObjectsStayOneNodeAndCyclesStayCycles() throws IOException {
        List<PickleValue> shared = CpythonPickles.read("shared", 4).asSequence().orElseThrow();
        assertThat(shared.get(0)).isSameAs(shared.get(1));
        PickleValue list = CpythonPickles.read("recursive-list", 2);
        assertThat(list.asSequence().orElseThrow().getFirst()).isSameAs(list);
        PickleValue tuple = CpythonPickles.read("recursive-tuple", 2);
        PickleValue inner = tuple.asSequence().orElseThrow().getFirst();
        assertThat(inner.asSequence().orElseThrow().getFirst()).isSameAs(tuple);
    }

    @Test
    void sameTellsSharingFromEqualCopies() {
        PyList one = PyList.of(PyInt.of(1));
        PyList two = PyList.of(PyInt.of(1));
        assertThat(PickleGraph.same(PyList.of(one, one), PyList.of(two, two))).isTrue();
        assertThat(PickleGraph.same(PyList.of(one, one), PyList.of(one, two))).isFalse();
        assertThat(PickleGraph.same(PyList.of(one, two), PyList.of(one, one))).isFalse();
    }

    @Test
    void keywordsAndStateSettersSurvive() throws IOException {
        // NEWOBJ_EX: m.C.__new__(m.C, 1, k=2); then setter(object, 3) is called and dropped.
        byte[] pickle =
                bytes(
                        "\u0080\u0004"
                                + global("m", "C")
                                + "(K\u0001t}X\u0001\0\0\0kK\u0002s\u0092q\0"
                                + global("m", "setter")
                                + "h\0K\u0003\u0086R0.");
        PyObject object = (PyObject) PickleReader.read(CpythonPickles.FILE, 0, pickle);
        assertThat(object.making()).isEqualTo(PyObject.Making.NEW_WITH_KEYWORDS);
        assertThat(object.keywords().orElseThrow().find("k")).contains(PyInt.of(2));
        assertThat(object.changes()).hasSize(1).first().isInstanceOf(PyObject.Change.Called.class);
        PickleValue again = PickleReader.read(CpythonPickles.FILE, 0, PickleWriter.write(object));
        assertThat(PickleGraph.same(object, again)).isTrue();
    }

    private static String global(String module, String name) {
        return "c%s\n%s\n".formatted(module, name);
    }

    static byte[] bytes(String latin1) {
        return latin1.getBytes(StandardCharsets.ISO_8859_1);
    }
}
