package io.ucp.formats.torch.pickle;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

class PickleValueTest {
    @Test
    void dictsOrderedDictsAndNamespacesAreFoundInAlike() throws IOException {
        PyDict attributes = PyDict.of(Map.of("lr", new PyFloat(0.5)));
        PyDict items = PyDict.of(Map.of("args", PyObject.namespace(attributes)));
        PickleValue tree = PyDict.of(Map.of("state", PyObject.orderedDict(items)));
        PickleValue read = PickleReader.read(CpythonPickles.FILE, 0, PickleWriter.write(tree));
        assertThat(read.find("state", "args", "lr")).contains(new PyFloat(0.5));
        assertThat(read.find("state", "nothing", "lr")).isEmpty();
        assertThat(read.find("state", "args", "lr", "further")).isEmpty();
    }

    @Test
    void anOrderedDictKeepsItsAttributesBesideItsItems() throws IOException {
        PyObject ordered = (PyObject) CpythonPickles.read("ordered-with-attributes", 2);
        assertThat(ordered.find("a")).contains(PyInt.of(1));
        PickleValue metadata = ordered.attributes().orElseThrow().find("_metadata").orElseThrow();
        assertThat(metadata.find("", "version")).contains(PyInt.of(1));
    }

    @Test
    void aChangedItemKeepsItsPlaceAndTheOriginalIsUntouched() {
        Map<String, PickleValue> entries = new LinkedHashMap<>();
        entries.put("a", PyInt.of(1));
        entries.put("b", PyInt.of(2));
        PyDict dict = PyDict.of(entries);
        PyDict changed = dict.with("a", PyInt.of(9)).with("c", PyInt.of(3)).without("b");
        assertThat(changed.entries())
                .extracting(e -> e.key().asText().orElseThrow() + e.value())
                .containsExactly("a9", "c3");
        assertThat(dict.find("a")).contains(PyInt.of(1));
    }

    @Test
    void anObjectsItemsAndStateAreReplacedInTheOrderPythonSetsThem() throws IOException {
        PyObject ordered = (PyObject) CpythonPickles.read("ordered-with-attributes", 2);
        PyObject changed =
                ordered.withItems(ordered.items().with("a", PyNone.NONE)).withState(PyDict.empty());
        assertThat(changed.changes())
                .extracting(change -> change.getClass().getSimpleName())
                .containsExactly("ItemsSet", "StateSet");
        assertThat(changed.find("a")).contains(PyNone.NONE);
        assertThat(ordered.find("a")).contains(PyInt.of(1));
    }

    @Test
    void keysAreEqualAsInPython() {
        PyDict dict =
                PyDict.of(
                        List.of(
                                new PyDict.Entry(PyInt.of(1), PyText.of("int")),
                                new PyDict.Entry(new PyBool(true), PyText.of("bool")),
                                new PyDict.Entry(new PyFloat(1.0), PyText.of("float")),
                                new PyDict.Entry(PyText.of("1"), PyText.of("text")),
                                new PyDict.Entry(PyTuple.of(PyInt.of(1)), PyText.of("tuple"))));
        assertThat(dict.size()).isEqualTo(3);
        assertThat(dict.find(1)).contains(PyText.of("float"));
        assertThat(dict.entries().getFirst().key()).isEqualTo(PyInt.of(1));
        assertThat(dict.find(PyTuple.of(PyInt.of(1)))).contains(PyText.of("tuple"));
    }

    @Test
    void bytesReadAlikeInEveryProtocol() throws IOException {
        for (int protocol = 2; protocol <= 5; protocol++) {
            List<PickleValue> all =
                    CpythonPickles.read("bytes", protocol).asSequence().orElseThrow();
            byte[] every = all.get(2).asBytes().orElseThrow();
            assertThat(every).hasSize(256);
            assertThat(every[255]).isEqualTo((byte) 255);
        }
        PyObject wide =
                PyObject.call(
                        new PyGlobal("_codecs", "encode"),
                        PyText.of("\u4e2d"),
                        PyText.of("latin1"));
        assertThat(wide.asBytes()).isEmpty();
    }

    @Test
    void textsOfPython2AreTextWhereTheyAreUtf8AndBytesElsewhere() throws IOException {
        PickleValue text = PickleReader.read(CpythonPickles.FILE, 0, bytes("U\u0002hi."));
        PickleValue raw = PickleReader.read(CpythonPickles.FILE, 0, bytes("U\u0002\u00ff\0."));
        PickleValue quoted =
                PickleReader.read(CpythonPickles.FILE, 0, bytes("S'a\\n\\x41\\101\\q'\n."));
        assertThat(text.asText()).contains("hi");
        assertThat(raw.asBytes()).contains(new byte[] {-1, 0});
        assertThat(quoted.asText()).contains("a\nAA\\q");
    }

    @Test
    void anOrderedDictOfPython2HasItsItemsAsPairs() throws IOException {
        PickleValue pairs = PyList.of(PyList.of(PyText.of("a"), PyInt.of(1)));
        PyObject ordered = PyObject.call(new PyGlobal("collections", "OrderedDict"), pairs);
        assertThat(ordered.find("a")).contains(PyInt.of(1));
        assertThat(ordered.asDict().orElseThrow().size()).isEqualTo(1);
    }

    @Test
    void numbersTellWhetherTheyFit() {
        assertThat(PyInt.of(Long.MIN_VALUE).asLong()).hasValue(Long.MIN_VALUE);
        PyInt big = PyInt.of(BigInteger.ONE.shiftLeft(64));
        assertThat(big.asLong()).isEmpty();
        assertThat(big.asInteger()).contains(BigInteger.ONE.shiftLeft(64));
        assertThat(PyInt.of(BigInteger.TEN)).isEqualTo(PyInt.of(10));
    }

    private static byte[] bytes(String latin1) {
        return latin1.getBytes(StandardCharsets.ISO_8859_1);
    }
}
