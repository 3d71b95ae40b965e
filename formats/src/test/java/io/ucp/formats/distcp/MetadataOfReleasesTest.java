package io.ucp.formats.distcp;

import static io.ucp.formats.distcp.SmallCheckpoint.chunk;
import static io.ucp.formats.distcp.SmallCheckpoint.path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// `.metadata` as releases of torch wrote it: the same facts, under other modules and without what
/// came later.
///
/// Source: torch `distributed/_shard/checkpoint/metadata.py` of 1.13,
/// `distributed/checkpoint/metadata.py` of 2.0, and of later ones, which have `TensorProperties`
/// and `storage_meta` of their own, then `version`.
class MetadataOfReleasesTest {
    enum Release {
        TORCH_1_13(
                "torch.distributed._shard.checkpoint",
                "torch.distributed._shard.sharded_tensor.metadata",
                "MEM_FORMAT_ENCODING",
                "state_dict_metadata planner_data storage_data"),
        TORCH_2_0(
                "torch.distributed.checkpoint",
                "torch.distributed._shard.sharded_tensor.metadata",
                "MEM_FORMAT_ENCODING",
                "state_dict_metadata planner_data storage_data"),
        OWN_PROPERTIES(
                "torch.distributed.checkpoint",
                "torch.distributed.checkpoint.metadata",
                "_MEM_FORMAT_ENCODING",
                "state_dict_metadata planner_data storage_data storage_meta"),
        TODAY(
                "torch.distributed.checkpoint",
                "torch.distributed.checkpoint.metadata",
                "_MEM_FORMAT_ENCODING",
                "state_dict_metadata planner_data storage_data storage_meta version");

        /// Module of the classes and of `_StorageInfo`.
        final String checkpoint;

        /// Module of `TensorProperties`.
        final String properties;

        final String memory;

        /// Of `Metadata`, with spaces between.
        final String attributes;

        Release(String checkpoint, String properties, String memory, String attributes) {
            this.checkpoint = checkpoint;
            this.properties = properties;
            this.memory = memory;
            this.attributes = attributes;
        }

        /// The same object as this release would have pickled it.
        PickleValue of(PickleValue value) {
            return switch (value) {
                case PyGlobal global -> new PyGlobal(module(global), name(global));
                case PyDict dict ->
                        PyDict.of(
                                dict.entries().stream()
                                        .map(e -> new PyDict.Entry(of(e.key()), of(e.value())))
                                        .toList());
                case PyList list -> PyList.of(list.elements().stream().map(this::of).toList());
                case PyTuple tuple -> PyTuple.of(tuple.elements().stream().map(this::of).toList());
                case PyObject object -> of(object);
                default -> value;
            };
        }

        private PickleValue of(PyObject object) {
            List<PickleValue> arguments =
                    ((PyTuple) object.arguments()).elements().stream().map(this::of).toList();
            PyObject made =
                    object.making() == PyObject.Making.CALL
                            ? PyObject.call(
                                    of(object.callable()), arguments.toArray(PickleValue[]::new))
                            : PyObject.instance(
                                    of(object.callable()), arguments.toArray(PickleValue[]::new));
            Optional<PickleValue> state = object.state().map(this::of);
            if (object.callable() instanceof PyGlobal global && global.name().equals("Metadata")) {
                List<PyDict.Entry> kept = new ArrayList<>(((PyDict) state.orElseThrow()).entries());
                List<String> known = List.of(attributes.split(" ", -1));
                kept.removeIf(e -> !known.contains(e.key().asText().orElseThrow()));
                state = Optional.of(PyDict.of(kept));
            }
            return state.isPresent() ? made.withState(state.get()) : made;
        }

        private String module(PyGlobal global) {
            String name = global.name();
            if (name.equals("TensorProperties") || name.endsWith("MEM_FORMAT_ENCODING")) {
                return properties;
            }
            return global.module().replace("torch.distributed.checkpoint", checkpoint);
        }

        private String name(PyGlobal global) {
            return global.name().endsWith("MEM_FORMAT_ENCODING") ? memory : global.name();
        }
    }

    @TempDir private Path folder;
    private SmallCheckpoint checkpoint = new SmallCheckpoint(Path.of(""));

    @BeforeEach
    void small() throws IOException {
        checkpoint =
                new SmallCheckpoint(folder)
                        .tensor(
                                path("model", "w"),
                                Shape.of(4, 6),
                                chunk(List.of(0L, 0L), 2, 6),
                                chunk(List.of(2L, 0L), 2, 6))
                        .object(path("step"), PyInt.of(3));
    }

    private static PyObject with(PickleValue metadata, String name, PickleValue value) {
        PyObject object = (PyObject) metadata;
        return object.withState(object.attributes().orElseThrow().with(name, value));
    }

    private DistcpMetadata read(PickleValue metadata) throws IOException {
        checkpoint.write(metadata);
        DistcpMetadata read = DistcpMetadata.read(folder);
        ItemReader.open(folder, read);
        return read;
    }

    @ParameterizedTest
    @EnumSource
    void everyReleaseSaysTheSame(Release release) throws IOException {
        PickleValue metadata = release.of(checkpoint.metadata().tree());
        String said = new String(PickleWriter.write(metadata), StandardCharsets.ISO_8859_1);
        assertThat(said.contains("_shard"))
                .isEqualTo(release.compareTo(Release.OWN_PROPERTIES) < 0);
        assertThat(read(metadata).entries()).isEqualTo(checkpoint.metadata().entries());
    }

    /// Of a save without flattening, as those of torch 1.13 are.
    @ParameterizedTest
    @EnumSource
    void pathsOfKeysMayBeAbsent(Release release) throws IOException {
        PickleValue metadata =
                with(release.of(checkpoint.metadata().tree()), "planner_data", PyNone.NONE);
        DistcpMetadata read = read(metadata);
        assertThat(read.planner()).isEmpty();
        assertThat(read.entries()).containsOnlyKeys("model.w", "step");
    }

    /// A path may count elements of a list.
    @Test
    void pathsOfKeysMayHaveNumbers() throws IOException {
        PyDict paths =
                PyDict.of(
                        List.of(
                                new PyDict.Entry(
                                        PyText.of("model.w"),
                                        PyTuple.of(PyText.of("model"), PyInt.of(0)))));
        assertThat(read(with(checkpoint.metadata().tree(), "planner_data", paths)).planner())
                .hasValueSatisfying(planner -> assertThat(planner.find("model.w")).isPresent());
    }

    /// Before 1.13 files were named by tensors, and said nothing of chunks.
    @Test
    void whatCameBeforeIsNamed() {
        PyObject old =
                PyObject.instance(
                                new PyGlobal(
                                        "torch.distributed._shard.checkpoint.metadata", "Metadata"))
                        .withState(PyDict.of(Map.of("state_dict_metadata", PyDict.empty())));
        assertThatThrownBy(() -> read(old))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(
                        "Metadata without storage_data, as torch before 1.13 wrote it")
                .hasMessageContaining("load it with the torch that wrote it");
    }
}
