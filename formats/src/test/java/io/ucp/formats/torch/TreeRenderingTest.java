package io.ucp.formats.torch;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.ucp.formats.torch.pickle.PickleReader;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyBytes;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.StringWriter;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

class TreeRenderingTest {
    private static String json(PickleValue tree) throws IOException {
        StringWriter out = new StringWriter();
        try (JsonGenerator json = TreeJson.factory().createGenerator(out)) {
            TreeJson.write(json, tree);
        }
        return out.toString();
    }

    private static PickleValue read(String latin1) throws IOException {
        return PickleReader.read(Path.of("p"), 0, SmallTorchFiles.latin1(latin1));
    }

    static List<Arguments> values() {
        return List.of(
                Arguments.of(PyNone.NONE, "null"),
                Arguments.of(new PyBool(true), "true"),
                Arguments.of(PyInt.of(1L << 53), "9007199254740992"),
                Arguments.of(PyInt.of((1L << 53) + 1), "{'$int':'9007199254740993'}"),
                Arguments.of(
                        PyInt.of(BigInteger.ONE.shiftLeft(64)), "{'$int':'18446744073709551616'}"),
                Arguments.of(new PyFloat(1.0), "1.0"),
                Arguments.of(new PyFloat(Double.NaN), "{'$float':'nan'}"),
                Arguments.of(
                        new PyFloat(Double.longBitsToDouble(0x7ff8000000000001L)),
                        "{'$float':'nan:7ff8000000000001'}"),
                Arguments.of(new PyFloat(Double.NEGATIVE_INFINITY), "{'$float':'-inf'}"),
                Arguments.of(PyText.of("a/\u00e9"), "'a/\u00e9'"),
                Arguments.of(PyText.of("\ud800"), "{'$text':[55296]}"),
                Arguments.of(PyBytes.of(new byte[] {1, 2}), "{'$bytes':'AQI='}"),
                Arguments.of(PyBytes.array(new byte[] {1, 2}), "{'$bytearray':'AQI='}"),
                Arguments.of(PyTuple.of(PyInt.of(1)), "{'$tuple':[1]}"),
                Arguments.of(PyList.of(PyTuple.of()), "[{'$tuple':[]}]"),
                Arguments.of(new PyGlobal("torch", "float32"), "{'$global':['torch','float32']}"),
                Arguments.of(PyDict.of(Map.of("a", PyInt.of(1))), "{'a':1}"),
                Arguments.of(PyDict.of(Map.of("$a", PyInt.of(1))), "{'$dict':[['$a',1]]}"),
                Arguments.of(
                        PyDict.empty().with(PyInt.of(1), PyText.of("x")), "{'$dict':[[1,'x']]}"),
                Arguments.of(
                        PyObject.orderedDict(PyDict.of(Map.of("a", PyInt.of(1)))),
                        "{'$call':'collections:OrderedDict','args':[],"
                                + "'changes':[{'items':{'a':1}}]}"),
                Arguments.of(
                        PyObject.namespace(PyDict.of(Map.of("lr", PyInt.of(1)))),
                        "{'$new':'argparse:Namespace','args':[],'changes':[{'state':{'lr':1}}]}"),
                Arguments.of(
                        SmallTorchFiles.tensor(DType.BFLOAT16, "3", 2, 3),
                        "{'$tensor':'bfloat16','shape':[2,3],'stride':[3,1],'storage':'3',"
                                + "'offset':0,'storage_size':12}"));
    }

    @ParameterizedTest
    @MethodSource("values")
    void everyValueHasOneJsonForm(PickleValue value, String expected) throws IOException {
        assertThat(json(value)).isEqualTo(expected.replace('\'', '"'));
    }

    @Test
    void sharedAndRecursiveObjectsAreReferredTo() throws IOException {
        assertThat(json(read("]q\0h\0a."))).isEqualTo("{\"$id\":0,\"value\":[{\"$ref\":0}]}");
        PyList shared = PyList.of(PyInt.of(1));
        assertThat(json(PyList.of(shared, shared)))
                .isEqualTo("[{\"$id\":0,\"value\":[1]},{\"$ref\":0}]");
        assertThat(TreeText.of(PyList.of(PyList.of(shared), PyList.of(shared)))).contains("[1]");
        assertThat(TreeText.of(read("]q\0h\0a."))).isEqualTo("list of 1\n  0 = the root\n");
    }

    @Test
    void sharingThatDoublesAtEachLevelRendersEachNodeOnce() throws IOException {
        PickleValue bomb = read("]" + "2\u0086".repeat(200) + ".");
        assertThat(json(bomb)).hasSizeLessThan(30_000);
        assertThat(TreeText.of(bomb)).hasSizeLessThan(1_000_000);
    }

    @Test
    void theDeepestTreeRenders() throws IOException {
        PickleValue deep = read("]" + "\u0085".repeat(PickleReader.DEEPEST - 1) + ".");
        ObjectMapper mapper =
                JsonMapper.builder(
                                com.fasterxml.jackson.core.JsonFactory.builder()
                                        .streamReadConstraints(
                                                StreamReadConstraints.builder()
                                                        .maxNestingDepth(4000)
                                                        .build())
                                        .build())
                        .build();
        assertThat(mapper.readTree(json(deep)).has("$tuple")).isTrue();
        assertThat(TreeText.of(deep).lines()).hasSize(PickleReader.DEEPEST);
    }

    @Test
    void aTreeForPeopleIsALineANode() {
        Map<String, PickleValue> module = new LinkedHashMap<>();
        module.put("weight", SmallTorchFiles.tensor(DType.BFLOAT16, "0", 12, 4));
        Map<String, PickleValue> tree = new LinkedHashMap<>();
        tree.put("module", PyObject.orderedDict(PyDict.of(module)));
        tree.put("args", PyObject.namespace(PyDict.of(Map.of("lr", new PyFloat(0.5)))));
        tree.put("shape", PyObject.call(new PyGlobal("torch", "Size"), PyTuple.of(PyInt.of(3))));
        tree.put("text", PyText.of("two\nlines" + "x".repeat(1000)));
        assertThat(TreeText.of(PyDict.of(tree)))
                .isEqualTo(
                        """
                        dict of 4
                          'module' collections.OrderedDict of 1
                            'weight' tensor bfloat16 [12, 4]
                          'args' argparse.Namespace
                            'lr' 0.5
                          'shape' Size(3)
                          'text' 'two\\u000alines%s ..
                        """
                                .formatted("x".repeat(185)));
    }
}
