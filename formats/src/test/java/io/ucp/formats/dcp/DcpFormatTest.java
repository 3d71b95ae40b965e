package io.ucp.formats.dcp;

import static io.ucp.formats.distcp.SmallCheckpoint.path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WholeParameter.Placed;
import io.ucp.formats.distcp.SmallCheckpoint;
import io.ucp.formats.distcp.StateDictEntry;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.io.ByteReader;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/// The checkpoints in the resources were written by torch 2.14: FSDP2 over 4 and over 2, with an
/// average of the weights and states of generators beside the model; a plain optimizer of named and
/// of numbered parameters; a bare state dict.
class DcpFormatTest {
    private static final Path WRITTEN_BY_TORCH = Path.of("src/test/resources/io/ucp/formats/dcp");

    @TempDir Path folder;

    private static CheckpointIndex index(Path path) throws IOException {
        DcpFormat format = new DcpFormat();
        return format.index(format.find(path).getFirst());
    }

    private static Map<String, ParameterFacts> facts(CheckpointIndex index) {
        return index.wholes().stream()
                .map(WholeParameter::facts)
                .collect(Collectors.toMap(ParameterFacts::name, f -> f));
    }

    private static ParameterFacts fact(CheckpointIndex index, String name) {
        return Optional.ofNullable(facts(index).get(name)).orElseThrow();
    }

    private static List<String> findings(CheckpointIndex index) {
        return index.findings().stream().map(f -> f.message()).toList();
    }

    @Test
    void findsTheFolderItselfOrThoseBelow() throws IOException {
        DcpFormat format = new DcpFormat();
        assertThat(format.find(WRITTEN_BY_TORCH.resolve("fsdp4")))
                .extracting(Candidate::tag, Candidate::pointer)
                .containsExactly(org.assertj.core.groups.Tuple.tuple("fsdp4", ".metadata"));
        assertThat(format.find(WRITTEN_BY_TORCH))
                .extracting(Candidate::tag)
                .containsExactly("fsdp2", "fsdp4", "named", "numbered", "weights");
        assertThat(format.find(folder)).isEmpty();
    }

    @Test
    void aMegatronFolderIsAnotherFormats() throws IOException {
        new SmallCheckpoint(folder).whole(path("w"), 2).write();
        assertThat(new DcpFormat().find(folder)).hasSize(1);
        Files.writeString(folder.resolve("metadata.json"), "{}");
        assertThat(new DcpFormat().find(folder)).isEmpty();
    }

    @Test
    void whatLiesColumnByColumnIsReadByItsElements() throws IOException {
        new SmallCheckpoint(folder)
                .whole(path("model", "w"), 2)
                .transposed(path("loader", "order"), DType.INT64, 2, 3)
                .write();
        CheckpointIndex index = index(folder);
        List<Placed> held =
                index.wholes().stream()
                        .filter(w -> w.facts().name().equals("loader.order"))
                        .flatMap(w -> w.states().getOrDefault("weight", List.of()).stream())
                        .toList();
        assertThat(held).singleElement().matches(p -> !p.tensor().isDense());
    }

    @Test
    void bytesThatDoNotLieRowByRowAreNeverCarriedAsIfTheyDid() throws IOException {
        new SmallCheckpoint(folder)
                .whole(path("model", "w"), 2)
                .transposed(path("w"), DType.FLOAT32, 2, 3)
                .write();
        assertThatThrownBy(() -> index(folder))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("'w': a tensor that does not lie row by row");
    }

    @Test
    void pairsOptimizerStateByName() throws IOException {
        CheckpointIndex index = index(WRITTEN_BY_TORCH.resolve("fsdp4"));
        assertThat(index.mesh()).hasToString("[AxisDegree[axis=dp, degree=4]]");
        ParameterFacts weight = fact(index, "a.weight");
        assertThat(weight.states().keySet()).containsExactly("exp_avg", "exp_avg_sq", "weight");
        assertThat(weight.scalars().keySet()).containsExactly("step");
        assertThat(weight.optimizerGroup()).isZero();
        assertThat(fact(index, "a.bias").optimizerGroup()).isEqualTo(1);
        assertThat(fact(index, "count").buffer()).isTrue();
        assertThat(findings(index))
                .singleElement()
                .asString()
                .contains("ema.scale")
                .contains("keep their keys");
    }

    @Test
    void pairsByNumberWhereNamesStandBesideTheNumbers() throws IOException {
        CheckpointIndex index = index(WRITTEN_BY_TORCH.resolve("named"));
        assertThat(fact(index, "b.bias").states().keySet())
                .containsExactly("exp_avg", "exp_avg_sq", "weight");
        assertThat(findings(index)).isEmpty();
    }

    @Test
    void doesNotGuessWhichWeightANumberIs() throws IOException {
        CheckpointIndex index = index(WRITTEN_BY_TORCH.resolve("numbered"));
        assertThat(fact(index, "b.bias").states().keySet()).containsExactly("weight");
        assertThat(facts(index)).containsKey("app.optimizer.state.0.exp_avg");
        assertThat(findings(index))
                .singleElement()
                .asString()
                .contains("`param_names` beside its `params`");
    }

    /// Of two ranks, by `save_state_dict` of torch 1.13: each sharded tensor is in halves, each
    /// half counts from 1000 on the first rank, from 2000 on the second.
    @Test
    void readsWhatTheFirstReleaseWrote() throws IOException {
        CheckpointIndex index = index(WRITTEN_BY_TORCH.resolve("kinds/torch-1.13"));
        Map<String, WholeParameter> wholes =
                index.wholes().stream().collect(Collectors.toMap(w -> w.facts().name(), w -> w));
        assertThat(wholes.keySet())
                .containsExactlyInAnyOrder(
                        "block.weight", "block.bias", "head.weight", "scale", "half", "count");
        for (String name : List.of("block.weight", "block.bias", "head.weight")) {
            List<Placed> halves =
                    Optional.ofNullable(
                                    Optional.ofNullable(wholes.get(name))
                                            .orElseThrow()
                                            .states()
                                            .get("weight"))
                            .orElseThrow();
            assertThat(halves).hasSize(2);
            for (Placed half : halves) {
                float first = half.piece().firstIndex() == 0 ? 1000 : 2000;
                for (int i = 0; i < half.tensor().shape().count(); i++) {
                    assertThat(floatAt(half.tensor(), i)).isEqualTo(first + i);
                }
            }
        }
        assertThat(fact(index, "half").states()).containsEntry("weight", DType.BFLOAT16);
        Placed transposed =
                Optional.ofNullable(wholes.get("scale"))
                        .orElseThrow()
                        .states()
                        .values()
                        .iterator()
                        .next()
                        .getFirst();
        assertThat(transposed.tensor().strides()).containsExactly(1, 4);
    }

    private static float floatAt(TensorEntry tensor, int index) throws IOException {
        ByteBuffer four = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN);
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset() + 4L * index, four);
        }
        return four.getFloat(0);
    }

    @Test
    void weightsInTheSameItemsAreOneParameterWithTwoNames() throws IOException {
        SmallCheckpoint made = new SmallCheckpoint(folder).whole(path("model", "embed"), 4, 2);
        StateDictEntry embedding =
                Optional.ofNullable(made.metadata().entries().get("model.embed")).orElseThrow();
        made.entry(path("model", "head"), embedding).whole(path("model", "other"), 4, 2).write();
        CheckpointIndex index = index(folder);
        assertThat(facts(index).keySet()).containsExactlyInAnyOrder("embed", "other");
        assertThat(fact(index, "embed").aliases()).containsExactly("head");
    }

    @Test
    void aBareStateDictIsTheModels() throws IOException {
        assertThat(facts(index(WRITTEN_BY_TORCH.resolve("weights"))).keySet())
                .containsExactlyInAnyOrder(
                        "scale", "count", "a.weight", "a.bias", "b.weight", "b.bias");
    }

    // ---- wrappers of modules ----

    private static void assertRead(CheckpointIndex index, String... removed) {
        assertThat(findings(index))
                .containsExactly(
                        "names are read without %s, which wrappers of modules put in them"
                                .formatted(String.join(", ", removed)));
    }

    /// A compiled model with replicas (`module._orig_mod.`), its optimizer's states by number with
    /// names beside, and by the names of the model inside.
    @ParameterizedTest
    @ValueSource(strings = {"wrapped", "compiled"})
    void partsOfWrappersAreLeftOutOfTheNamesOfModelAndOptimizer(String kind) throws IOException {
        CheckpointIndex index = index(WRITTEN_BY_TORCH.resolve("kinds").resolve(kind));
        assertRead(index, "_orig_mod.", "module.");
        assertThat(facts(index).keySet())
                .containsExactlyInAnyOrder(
                        "embed.weight",
                        "block.up.weight",
                        "block.up.bias",
                        "block.down.weight",
                        "seen");
        ParameterFacts weight = fact(index, "block.up.weight");
        assertThat(weight.states().keySet()).containsExactly("exp_avg", "exp_avg_sq", "weight");
        assertThat(weight.scalars().keySet()).containsExactly("step");
        assertThat(weight.optimizerGroup()).isZero();
    }

    @Test
    void anOptimizerMayHaveTheWrappersThatItsModelHasNot() throws IOException {
        String inside = "module._orig_mod.a._checkpoint_wrapped_module.w";
        new SmallCheckpoint(folder)
                .whole(path("model", "a.w"), 2, 2)
                .whole(path("model", "b.w"), 2, 2)
                .whole(path("optim", "state", inside, "shampoo.0"), 2, 2)
                .object(path("optim", "param_groups", "0", "params"), PyList.of(PyText.of(inside)))
                .write();
        CheckpointIndex index = index(folder);
        assertThat(findings(index)).isEmpty();
        assertThat(fact(index, "a.w").states().keySet()).containsExactly("shampoo.0", "weight");
        assertThat(fact(index, "a.w").optimizerGroup()).isZero();
    }

    @Test
    void eachOfSeveralModelsIsReadWithoutItsOwnWrappers() throws IOException {
        new SmallCheckpoint(folder)
                .whole(path("critic", "model", "module.w"), 2)
                .whole(path("critic", "optim", "state", "module.w", "exp_avg"), 2)
                .object(path("critic", "optim", "param_groups"), PyList.of())
                .whole(path("actor", "model", "_orig_mod.v"), 2)
                .whole(path("actor", "optim", "state", "v", "exp_avg"), 2)
                .object(path("actor", "optim", "param_groups"), PyList.of())
                .write();
        CheckpointIndex index = index(folder);
        assertRead(index, "_orig_mod.", "module.");
        assertThat(facts(index).keySet())
                .containsExactlyInAnyOrder("critic.model.w", "actor.model.v");
        assertThat(fact(index, "actor.model.v").states()).containsKey("exp_avg");
    }

    @Test
    void keysOfWeightsThatBecomeOneNameAreRefused() throws IOException {
        new SmallCheckpoint(folder)
                .whole(path("model", "a.w"), 2)
                .whole(path("model", "a._orig_mod.w"), 2)
                .write();
        assertThatThrownBy(() -> index(folder))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining(
                        "'model.a.w' and 'model.a._orig_mod.w' are both 'a.w' without _orig_mod");
    }

    @Test
    void keysOfStatesThatBecomeOneNameAreRefused() throws IOException {
        new SmallCheckpoint(folder)
                .whole(path("model", "w"), 2)
                .whole(path("optim", "state", "w", "exp_avg"), 2)
                .whole(path("optim", "state", "_orig_mod.w", "exp_avg"), 2)
                .object(path("optim", "param_groups"), PyList.of())
                .write();
        assertThatThrownBy(() -> index(folder))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining(
                        "'optim.state.w.exp_avg' and 'optim.state._orig_mod.w.exp_avg' are both"
                                + " 'exp_avg' of 'w'");
    }

    /// Which parameters lie in it, and where, is in no file.
    @Test
    void flatParametersOfFsdpAreRefused() {
        assertThatThrownBy(() -> index(WRITTEN_BY_TORCH.resolve("kinds/flat")))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(
                        "'model._flat_param', in which FSDP keeps many parameters end to end")
                .hasMessageContaining("SHARDED_STATE_DICT");
    }

    // ---- the optimizer ----

    @Test
    void groupsAreReadFromOneObjectToo() throws IOException {
        new SmallCheckpoint(folder)
                .whole(path("model", "w"), 2, 2)
                .whole(path("optim", "state", "w", "exp_avg"), 2, 2)
                .object(
                        path("optim", "param_groups"),
                        PyList.of(
                                io.ucp.formats.torch.pickle.PyDict.of(
                                        Map.of("params", PyList.of(PyText.of("w"))))))
                .write();
        ParameterFacts weight = fact(index(folder), "w");
        assertThat(weight.optimizerGroup()).isZero();
        assertThat(weight.states().keySet()).containsExactly("exp_avg", "weight");
    }

    @Test
    void ofAModelAndItsAverageTheOneCalledModelIsTrained() throws IOException {
        new SmallCheckpoint(folder)
                .whole(path("ema", "w"), 2)
                .whole(path("model", "w"), 2)
                .whole(path("optim", "state", "w", "exp_avg"), 2)
                .object(path("optim", "param_groups"), PyList.of())
                .write();
        Map<String, ParameterFacts> facts = facts(index(folder));
        assertThat(Optional.ofNullable(facts.get("w")).orElseThrow().states())
                .containsKey("exp_avg");
        assertThat(facts).containsKey("ema.w");
    }

    @Test
    void betweenTwoAveragesNothingChooses() throws IOException {
        new SmallCheckpoint(folder)
                .whole(path("fast", "w"), 2)
                .whole(path("slow", "w"), 2)
                .whole(path("optim", "state", "w", "exp_avg"), 2)
                .object(path("optim", "param_groups"), PyList.of())
                .write();
        CheckpointIndex index = index(folder);
        assertThat(facts(index).keySet())
                .containsExactlyInAnyOrder("fast.w", "slow.w", "optim.state.w.exp_avg");
        assertThat(findings(index)).isNotEmpty();
    }

    @Test
    void aStateOfAnotherShapeIsATensorOfItsOwn() throws IOException {
        new SmallCheckpoint(folder)
                .whole(path("model", "w"), 2, 3)
                .whole(path("optim", "state", "w", "exp_avg_sq_row"), 2)
                .object(path("optim", "param_groups"), PyList.of())
                .write();
        Map<String, ParameterFacts> facts = facts(index(folder));
        assertThat(Optional.ofNullable(facts.get("w")).orElseThrow().states().keySet())
                .containsExactly("weight");
        assertThat(facts).containsKey("optim.state.w.exp_avg_sq_row");
    }

    @Test
    void aStateDictWithoutTensors() throws IOException {
        new SmallCheckpoint(folder).object(path("step"), PyInt.of(1)).write();
        assertThatThrownBy(() -> index(folder))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("a state dict without tensors");
    }
}
