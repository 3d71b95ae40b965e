package io.ucp.formats.mcore;

import io.ucp.formats.RefusedException;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;

import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;

/// `args` of a job with other degrees: what Megatron-LM was called with, and what it made of it. An
/// argument that the source's release does not have is not added.
///
/// Source: Megatron-LM `training/arguments.py` (`validate_args`).
///
/// @param same the layers are on the chunks and stages that they were on
/// @param layers of each chunk
/// @param vocabulary rows of the embeddings, padding included
/// @param oneNode the source's job ran on one node as far as its files tell
public record TargetArguments(
        Grid source,
        Grid grid,
        boolean same,
        List<Integer> layers,
        OptionalLong vocabulary,
        boolean oneNode) {
    /// @param chunks layers of each chunk of the source, where that is known
    /// @param layers of each chunk of the target
    public static TargetArguments of(
            SourceModel source,
            List<Integer> chunks,
            Grid grid,
            List<Integer> layers,
            WriteRequest request) {
        Grid before = source.grid();
        boolean same =
                before.pp() == grid.pp()
                        && before.virtual() == grid.virtual()
                        && chunks.equals(layers);
        boolean oneNode =
                source.ranks().stream()
                        .allMatch(
                                r ->
                                        r.root()
                                                .find("args", "rank")
                                                .equals(r.root().find("args", "local_rank")));
        OptionalLong rows =
                request.job()
                        .flatMap(
                                j ->
                                        Names.embedding(j.padded().keySet())
                                                .map(e -> j.padded().get(e)))
                        .map(shape -> OptionalLong.of(shape.dim(0)))
                        .orElse(OptionalLong.empty());
        return new TargetArguments(before, grid, same, layers, rows, oneNode);
    }

    /// @param rank of the rank that writes the file, in the whole job
    public PickleValue changed(PickleValue value, int rank) {
        PyDict args = value.asDict().orElse(PyDict.empty());
        for (String name :
                List.of("tensor_model_parallel_size", "tensor_parallel_num_weight_shards")) {
            args = set(args, name, grid.tp());
        }
        for (String name :
                List.of(
                        "pipeline_model_parallel_size",
                        "transformer_pipeline_model_parallel_size")) {
            args = set(args, name, grid.pp());
        }
        args = set(args, "expert_model_parallel_size", grid.ep());
        int etp = grid.experts() ? grid.etp() : grid.tp();
        for (String name :
                List.of(
                        "expert_tensor_parallel_size",
                        "expert_tensor_parallel_num_weight_shards")) {
            args = set(args, name, etp);
        }
        args = set(args, "data_parallel_size", grid.dp());
        int world = grid.stage() * grid.pp();
        args = set(args, "world_size", world);
        args = set(args, "inprocess_active_world_size", world);
        args = set(args, "rank", rank);
        if (oneNode) {
            args = set(args, "local_rank", rank);
        }
        if (vocabulary.isPresent()) {
            args = set(args, "padded_vocab_size", vocabulary.getAsLong());
        }
        args = sequence(chunks(stages(args)));
        return value instanceof PyObject namespace ? namespace.withState(args) : args;
    }

    private PyDict chunks(PyDict of) {
        PyDict args = of;
        if (same) {
            return args;
        }
        boolean virtual = grid.virtual() > 1;
        args =
                put(
                        args,
                        "virtual_pipeline_model_parallel_size",
                        virtual ? OptionalInt.of(grid.virtual()) : OptionalInt.empty());
        boolean counted =
                args.find("num_virtual_stages_per_pipeline_rank")
                        .filter(v -> !v.isNone())
                        .isPresent();
        args =
                put(
                        args,
                        "num_virtual_stages_per_pipeline_rank",
                        virtual && counted ? OptionalInt.of(grid.virtual()) : OptionalInt.empty());
        args =
                put(
                        args,
                        "num_layers_per_virtual_pipeline_stage",
                        virtual && !counted
                                ? OptionalInt.of(layers.getFirst())
                                : OptionalInt.empty());
        if (virtual != source.virtual() > 1) {
            for (String name : List.of("overlap_p2p_comm", "align_param_gather")) {
                args = args.has(name) ? args.with(name, new PyBool(virtual)) : args;
            }
        }
        return args;
    }

    /// Layers of the stages, where they are not equally many.
    private PyDict stages(PyDict of) {
        PyDict args = of;
        if (same) {
            return args;
        }
        int first = layers.getFirst();
        int last = layers.getLast();
        boolean even = layers.stream().allMatch(n -> n == first);
        List<Integer> middle = even ? List.of() : layers.subList(1, layers.size() - 1);
        if (!even && (grid.virtual() > 1 || middle.stream().distinct().count() > 1)) {
            throw new RefusedException(
                    "--stages " + layers,
                    "stages that `args` cannot say",
                    "equally many layers on all stages but the first and the last",
                    "give other numbers");
        }
        int usual = middle.isEmpty() ? -1 : middle.getFirst();
        args =
                put(
                        args,
                        "decoder_first_pipeline_num_layers",
                        !even && first != usual ? OptionalInt.of(first) : OptionalInt.empty());
        args =
                put(
                        args,
                        "decoder_last_pipeline_num_layers",
                        !even && last != usual ? OptionalInt.of(last) : OptionalInt.empty());
        args = put(args, "pipeline_model_parallel_layout", OptionalInt.empty());
        for (String name :
                List.of(
                        "account_for_embedding_in_pipeline_split",
                        "account_for_loss_in_pipeline_split")) {
            args = args.has(name) ? args.with(name, new PyBool(false)) : args;
        }
        return args;
    }

    /// One tensor-parallel rank has no sequence to share; experts over several need it.
    private PyDict sequence(PyDict args) {
        boolean needed = grid.experts() && grid.tp() > 1;
        return args.has("sequence_parallel") && (grid.tp() == 1 || needed)
                ? args.with("sequence_parallel", new PyBool(grid.tp() > 1))
                : args;
    }

    private static PyDict set(PyDict args, String name, long value) {
        return args.has(name) ? args.with(name, PyInt.of(value)) : args;
    }

    private static PyDict put(PyDict args, String name, OptionalInt value) {
        if (!args.has(name)) {
            return args;
        }
        return value.isPresent()
                ? args.with(name, PyInt.of(value.getAsInt()))
                : args.with(name, PyNone.NONE);
    }
}
