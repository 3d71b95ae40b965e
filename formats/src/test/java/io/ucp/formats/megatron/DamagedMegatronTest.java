package io.ucp.formats.megatron;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.deepspeed.TorchTree;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.megatron.GeneratedMegatron.Kind;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.io.MalformedFileException;

import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/// What is not as Megatron-LM writes it: each kind of damage has one error, which names the file.
class DamagedMegatronTest {
    private static final String FIRST = "mp_rank_00/model_optim_rng.pt";
    private static final String STATES = "mp_rank_00/distrib_optim.pt";

    private final MegatronFormat format = new MegatronFormat();

    @TempDir Path root;

    private AbstractThrowableAssert<?, ? extends Throwable> thrown() throws IOException {
        Candidate candidate = format.find(root).getFirst();
        return assertThatThrownBy(() -> format.index(candidate));
    }

    private void edited(GeneratedMegatron of, String file, UnaryOperator<PyDict> change)
            throws IOException {
        of.editing((name, dict) -> name.equals(file) ? change.apply(dict) : dict).writeTo(root);
    }

    /// A value set below nested dicts.
    private static UnaryOperator<PyDict> setting(Object value, Object... path) {
        return dict -> (PyDict) set(dict, TorchTree.of(value), List.of(path));
    }

    private static PickleValue set(PickleValue tree, PickleValue value, List<Object> path) {
        if (path.isEmpty()) {
            return value;
        }
        PyDict dict = tree.asDict().orElseThrow();
        PickleValue key = TorchTree.of(path.getFirst());
        PickleValue inner = dict.find(key).orElse(PyDict.empty());
        PyDict changed = dict.with(key, set(inner, value, path.subList(1, path.size())));
        return tree instanceof PyObject ? PyObject.namespace(changed) : changed;
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "mp_rank_00_001/model_optim_rng.pt",
                "mp_rank_01_000/model_optim_rng.pt",
                "mp_rank_01_001/distrib_optim.pt"
            })
    void namesTheMissingFile(String file) throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(2, 2);
        of.writeTo(root);
        Files.delete(of.iteration(root).resolve(file));

        thrown().isInstanceOf(IncompleteCheckpointException.class).hasMessageContaining(file);
    }

    @ParameterizedTest
    @ValueSource(strings = {"mp_rank_00_001", "mp_rank_01_000", "mp_rank_01_001"})
    void namesTheMissingFolder(String folder) throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(2, 1).experts(4, 2, 2);
        of.writeTo(root);
        Path rank = of.iteration(root).resolve(folder);
        Files.delete(rank.resolve("model_optim_rng.pt"));
        Files.delete(rank.resolve("distrib_optim.pt"));
        Files.delete(rank);

        thrown().isInstanceOf(IncompleteCheckpointException.class).hasMessageContaining(folder);
    }

    @Test
    void theTrackersIterationMustBeThere() throws IOException {
        Files.writeString(root.resolve(IterationFolder.TRACKER), "8");

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("iter_0000008")
                .hasMessageContaining(IterationFolder.TRACKER);
    }

    @Test
    void refusesFilesOfTwoIterations() throws IOException {
        edited(
                GeneratedMegatron.of(2, 1),
                "mp_rank_01/model_optim_rng.pt",
                setting(8, "iteration"));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("mp_rank_01")
                .hasMessageContaining("`iteration` is 8; expected 7");
    }

    @Test
    void refusesFilesOfTwoJobs() throws IOException {
        edited(
                GeneratedMegatron.of(2, 1),
                "mp_rank_01/model_optim_rng.pt",
                setting(64, "args", "world_size"));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("`args.world_size` is 64");
    }

    @Test
    void refusesAFolderThatTheJobDoesNotHave() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1);
        of.writeTo(root);
        Path more = Files.createDirectories(of.iteration(root).resolve("mp_rank_00_001"));
        Files.copy(of.iteration(root).resolve(FIRST), more.resolve("model_optim_rng.pt"));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("mp_rank_00_001")
                .hasMessageContaining("tp 1, pp 1");
    }

    /// Versions 0 and 1.0 order the rows of queries, keys and values otherwise: read as today's
    /// they would be a scrambled model.
    @ParameterizedTest
    @ValueSource(doubles = {0, 1.0})
    void refusesTheRowOrdersOfOldVersions(double version) throws IOException {
        edited(GeneratedMegatron.of(1, 1), FIRST, setting(version, "checkpoint_version"));

        thrown().isInstanceOf(RefusedException.class)
                .hasMessageContaining("checkpoint_version")
                .hasMessageContaining("2.0 or newer");
    }

    @Test
    void aFileWithoutAVersionIsOfTheOldest() throws IOException {
        edited(GeneratedMegatron.of(1, 1), FIRST, dict -> dict.without("checkpoint_version"));

        thrown().isInstanceOf(RefusedException.class).hasMessageContaining("checkpoint_version");
    }

    @Test
    void needsTheArguments() throws IOException {
        edited(GeneratedMegatron.of(1, 1), FIRST, dict -> dict.without("args"));

        thrown().isInstanceOf(MalformedFileException.class).hasMessageContaining("args");
    }

    @Test
    void needsEveryChunk() throws IOException {
        edited(
                GeneratedMegatron.of(1, 2).layers(2, 1, 1, 1, 1),
                "mp_rank_00_001/model_optim_rng.pt",
                dict -> dict.without("model1"));

        thrown().isInstanceOf(MalformedFileException.class).hasMessageContaining("model1");
    }

    @Test
    void refusesAWorldThatTheDegreesDoNotDivide() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(2, 1);
        of.more.put("world_size", 3);
        of.writeTo(root);

        thrown().isInstanceOf(RefusedException.class).hasMessageContaining("world_size 3");
    }

    @Test
    void refusesMoreRanksThanAJobCanHave() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1);
        of.more.put("tensor_model_parallel_size", 1 << 16);
        of.more.put("pipeline_model_parallel_size", 1 << 16);
        of.writeTo(root);

        thrown().isInstanceOf(RefusedException.class)
                .hasMessageContaining(FIRST)
                .hasMessageContaining("degrees 65536 x 65536 x 1; expected at most 1073741824");
    }

    @Test
    void refusesMoreChunksThanAModelCanHave() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1);
        of.more.put("pipeline_model_parallel_size", 1 << 16);
        of.more.put("virtual_pipeline_model_parallel_size", 1 << 16);
        of.more.put("world_size", 1 << 16);
        of.writeTo(root);

        thrown().isInstanceOf(RefusedException.class)
                .hasMessageContaining("degrees 1 x 65536 x 65536");
    }

    @Test
    void countsExpertsBeyondAnInt() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1).experts(4, 1, 1);
        of.more.put("num_experts", (1L << 32) + 4);
        of.writeTo(root);

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("experts [0, 1, 2, 3]; expected 4294967300");
    }

    @ParameterizedTest
    @ValueSource(strings = {"sparse", "conj", "list", "number"})
    void refusesTensorsThatItWouldLeaveOut(String kind) throws IOException {
        edited(
                GeneratedMegatron.of(1, 1),
                FIRST,
                dict -> {
                    PyObject plain = (PyObject) dict.find("model", Names.EMBEDDING).orElseThrow();
                    Object odd =
                            switch (kind) {
                                case "sparse" ->
                                        PyObject.call(
                                                new PyGlobal(
                                                        "torch._utils", "_rebuild_sparse_tensor"),
                                                PyTuple.of(plain));
                                case "conj" ->
                                        PyObject.call(
                                                plain.callable(),
                                                PyTuple.of(
                                                                plain.arguments(),
                                                                PyTuple.of(
                                                                        PyDict.of(
                                                                                Map.of(
                                                                                        "conj",
                                                                                        new PyBool(
                                                                                                true)))))
                                                        .elements()
                                                        .stream()
                                                        .flatMap(
                                                                t ->
                                                                        t
                                                                                .asSequence()
                                                                                .orElseThrow()
                                                                                .stream())
                                                        .toArray(PickleValue[]::new));
                                case "list" -> List.of(plain);
                                default -> plain;
                            };
                    Object key = kind.equals("number") ? 7 : "odd";
                    return setting(odd, "model", key).apply(dict);
                });

        thrown().isInstanceOf(RefusedException.class)
                .hasMessageContaining(FIRST)
                .hasMessageContaining(kind.equals("number") ? "`7`" : "`odd`")
                .hasMessageContaining("a tensor of a kind that is not read");
    }

    @Test
    void refusesTwoTensorsOfOneName() throws IOException {
        edited(
                GeneratedMegatron.of(1, 1),
                FIRST,
                dict ->
                        setting(
                                        dict.find("model", Names.EMBEDDING).orElseThrow(),
                                        "model",
                                        "embedding",
                                        "word_embeddings.weight")
                                .apply(dict));

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("two tensors `embedding.word_embeddings.weight`");
    }

    @Test
    void refusesExpertsOverMoreTensorRanksThanTheRest() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1).experts(4, 1, 1);
        of.more.put("expert_tensor_parallel_size", 2);
        of.writeTo(root);

        thrown().isInstanceOf(RefusedException.class)
                .hasMessageContaining("experts over 2 tensor-parallel ranks");
    }

    @Test
    void countsLayersAgainstTheArguments() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1);
        of.more.put("num_layers", 5);
        of.writeTo(root);

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("4 layers on all stages; expected 5");
    }

    @Test
    void refusesAMatrixOfOtherExpertsThanTheRankHas() throws IOException {
        String router = "decoder.layers.0.mlp.router.weight"; // [4, 5]
        edited(
                GeneratedMegatron.of(1, 1).experts(4, 1, 1),
                FIRST,
                dict ->
                        setting(
                                        dict.find("model", router).orElseThrow(),
                                        "model",
                                        "decoder.layers.0.mlp.experts.weight1")
                                .apply(dict));

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(
                        "`decoder.layers.0.mlp.experts.weight1` of shape [4, 5]; expected a matrix"
                                + " of the rank's 4 experts, as `args.num_experts` says");
    }

    @Test
    void countsExpertsAgainstTheArguments() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1).experts(4, 2, 1);
        of.more.put("num_experts", 6);
        of.writeTo(root);

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("experts [0, 1]; expected 3");
    }

    @Test
    void refusesABufferOfAnotherLength() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1);
        of.more.put("ddp_bucket_size", 70);
        of.more.put("overlap_grad_reduce", true);
        of.writeTo(root);

        thrown().isInstanceOf(RefusedException.class)
                .hasMessageContaining("mp_rank_00/distrib_optim.pt")
                .hasMessageContaining("buckets of 70")
                .hasMessageContaining("--ckpt-format torch_dist");
    }

    @Test
    void refusesABufferThatIsNotAsLongAsItSays() throws IOException {
        edited(
                GeneratedMegatron.of(1, 1),
                STATES,
                dict -> {
                    PyDict.Entry buffer =
                            dict.find(0)
                                    .flatMap(PickleValue::asDict)
                                    .orElseThrow()
                                    .entries()
                                    .getFirst();
                    PyDict tensors = buffer.value().asDict().orElseThrow();
                    PyDict shorter = tensors.with("numel_unpadded", TorchTree.of(1));
                    PyDict changed = PyDict.of(List.of(new PyDict.Entry(buffer.key(), shorter)));
                    return dict.with(TorchTree.of(0), changed);
                });

        thrown().isInstanceOf(RefusedException.class).hasMessageContaining("1 elements");
    }

    @Test
    void refusesStatesBucketByBucket() throws IOException {
        edited(GeneratedMegatron.of(1, 1), STATES, dict -> dict.without("buckets_coalesced"));

        thrown().isInstanceOf(RefusedException.class).hasMessageContaining("bucket by bucket");
    }

    @Test
    void refusesBuffersOfAnotherModel() throws IOException {
        edited(
                GeneratedMegatron.of(1, 1),
                STATES,
                dict -> dict.with(TorchTree.of(1), dict.find(0).orElseThrow()));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("2 buffers; expected 1");
    }

    @Test
    void refusesAnUnknownOptimizer() throws IOException {
        edited(
                GeneratedMegatron.of(1, 1).kind(Kind.PLAIN),
                FIRST,
                setting(Map.of("momentum", 1), "optimizer"));

        thrown().isInstanceOf(RefusedException.class)
                .hasMessageContaining("neither a plain nor a distributed one")
                .hasMessageContaining("momentum");
    }

    @Test
    void refusesMoreOptimizersThanItKnowsTheParametersOf() throws IOException {
        edited(
                GeneratedMegatron.of(1, 1).kind(Kind.PLAIN),
                FIRST,
                dict ->
                        dict.with(
                                "optimizer",
                                TorchTree.of(
                                        List.of(
                                                dict.find("optimizer").orElseThrow(),
                                                dict.find("optimizer").orElseThrow()))));

        thrown().isInstanceOf(RefusedException.class).hasMessageContaining("2 optimizers");
    }

    @Test
    void refusesGroupsThatAreNotTheModels() throws IOException {
        edited(
                GeneratedMegatron.of(1, 1).kind(Kind.PLAIN),
                FIRST,
                dict -> {
                    PyDict model = dict.find("model").flatMap(PickleValue::asDict).orElseThrow();
                    return dict.with(
                            "model", model.without("decoder.layers.0.input_layernorm.weight"));
                });

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("whose shapes are not those of the model's");
    }

    @Test
    void refusesGroupsAtDifferentSteps() throws IOException {
        edited(
                GeneratedMegatron.of(1, 1),
                FIRST,
                dict ->
                        setting(
                                        List.of(Map.of("step", 1), Map.of("step", 2)),
                                        "optimizer",
                                        "optimizer",
                                        "param_groups")
                                .apply(dict));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("groups at different steps");
    }
}
