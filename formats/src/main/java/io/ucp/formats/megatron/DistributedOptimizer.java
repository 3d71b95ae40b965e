package io.ucp.formats.megatron;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.mcore.GradientBuffer;
import io.ucp.formats.mcore.Groups;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.megatron.ModelChunks.Held;
import io.ucp.formats.megatron.Optimizers.Part;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// An optimizer whose states are cut over the data-parallel ranks; saved, they lie end to end, a
/// buffer for each model chunk and dtype, without a name ([GradientBuffer]).
///
/// ```
/// {buckets_coalesced: True, number: {(dtype of the parameters, dtype of their gradients):
///     {param: the fp32 master, exp_avg, exp_avg_sq: 1-d fp32, numel_unpadded: int}}}
/// ```
///
/// Source: Megatron-LM `core/optimizer/distrib_optimizer.py` (`get_parameter_state_dp_zero`).
final class DistributedOptimizer {
    private static final String STEP = "step";
    private static final String COUNT = "numel_unpadded";
    private static final String MASTER = "param";

    private final RankFiles files;
    private final Part part;
    private final PickleValue optimizer;
    private final Optimizers into;

    DistributedOptimizer(RankFiles files, Part part, PickleValue optimizer, Optimizers into) {
        this.files = files;
        this.part = part;
        this.optimizer = optimizer;
        this.into = into;
    }

    /// The parameters of one buffer, in the order of the model.
    record Buffer(int chunk, DType dtype, List<Held> members) {}

    /// One for each chunk and, in it, each dtype, in the order of their first parameters. Source:
    /// Megatron-LM `core/distributed/param_and_grad_buffer.py` (`group_params_for_buffers`).
    static List<Buffer> buffers(List<List<Held>> chunks) {
        List<Buffer> buffers = new ArrayList<>();
        for (int c = 0; c < chunks.size(); c++) {
            Map<DType, List<Held>> byDtype = new LinkedHashMap<>();
            for (Held held : chunks.get(c)) {
                byDtype.computeIfAbsent(held.tensor().dtype(), _ -> new ArrayList<>()).add(held);
            }
            int chunk = c;
            byDtype.forEach((dtype, held) -> buffers.add(new Buffer(chunk, dtype, held)));
        }
        return buffers;
    }

    void read() throws IOException {
        List<Buffer> buffers = buffers(into.parametersOf(part));
        if (buffers.isEmpty()) {
            return;
        }
        into.want(part);
        Optional<RankFile> file = part.rank().optimizer();
        if (file.isEmpty()) {
            return;
        }
        PickleValue root = file.get().root();
        Optional<List<PickleValue>> chained = root.asSequence();
        if (chained.isPresent() != part.chained()
                || (chained.isPresent() && chained.get().size() <= part.number())) {
            throw file.get()
                    .malformed(
                            chained.map(c -> "states of %d optimizers".formatted(c.size()))
                                    .orElse("the states of one optimizer"),
                            "those of %s, as in %s"
                                    .formatted(
                                            part.chained() ? "two" : "one",
                                            part.rank().model().label()));
        }
        PickleValue own = chained.isPresent() ? chained.get().get(part.number()) : root;
        if (own.isNone()) {
            return; // another rank of the same data-parallel group wrote it
        }
        read(file.get(), file.get().dict(own, "a dict of buffers"), buffers);
        into.cover(part);
    }

    private void read(RankFile file, PyDict states, List<Buffer> buffers) throws IOException {
        if (!states.find("buckets_coalesced").flatMap(PickleValue::asBool).orElse(false)) {
            throw new RefusedException(
                    file.label(),
                    "states bucket by bucket, as releases before 2024 wrote them",
                    "`buckets_coalesced`",
                    "load it with a newer Megatron-LM and save it again");
        }
        long held = states.entries().stream().filter(e -> e.key().asLong().isPresent()).count();
        if (held != buffers.size()) {
            throw new IncompleteCheckpointException(
                    file.path().toString(),
                    "%d buffers".formatted(held),
                    "%d, one for each model chunk and dtype of %s"
                            .formatted(buffers.size(), part.rank().model().label()),
                    "the file is of another save; copy that save's files again");
        }
        for (int b = 0; b < buffers.size(); b++) {
            read(file, tensors(file, states, b), b, buffers.get(b));
        }
    }

    /// What lies under the one dtype of a buffer.
    private static PyDict tensors(RankFile file, PyDict states, int number) throws IOException {
        Optional<PyDict> dtypes = states.find(number).flatMap(PickleValue::asDict);
        if (dtypes.isEmpty() || dtypes.get().size() != 1) {
            throw file.malformed(
                    "no buffer %d, or one of several dtypes".formatted(number),
                    "a dict of one dtype for each number from 0 on");
        }
        return file.dict(
                dtypes.get().entries().getFirst().value(), "a dict of the buffer's tensors");
    }

    private void read(RankFile file, PyDict tensors, int number, Buffer buffer) throws IOException {
        long count =
                tensors.find(COUNT)
                        .map(PickleValue::asLong)
                        .orElse(OptionalLong.empty())
                        .orElse(-1);
        GradientBuffer layout = layout(file, number, buffer, count);
        Map<String, TensorEntry> flat = new LinkedHashMap<>();
        for (PyDict.Entry e : tensors.entries()) {
            String key = e.key().asText().orElse(e.key().toString());
            Optional<TensorEntry> tensor = file.tensor(e.value());
            if (tensor.isPresent()) {
                if (tensor.get().shape().rank() != 1
                        || tensor.get().shape().count() != count
                        || !tensor.get().isDense()) {
                    throw file.malformed(
                            "`%s` of buffer %d is of shape %s"
                                    .formatted(key, number, tensor.get().shape()),
                            "[%d], as `%s` says".formatted(count, COUNT));
                }
                flat.put(key.equals(MASTER) ? "fp32" : key, tensor.get());
            }
        }
        Map<String, Scalar> scalars = scalars();
        Groups groups = Groups.of(files.arguments());
        for (int i = 0; i < buffer.members.size(); i++) {
            Held held = buffer.members.get(i);
            long start = layout.starts().get(i);
            flat.forEach(
                    (state, tensor) ->
                            into.add(
                                    held,
                                    part.rank(),
                                    state,
                                    TensorEntry.dense(
                                            tensor.source(),
                                            tensor.offset() + start * tensor.dtype().width(),
                                            tensor.dtype(),
                                            held.tensor().shape())));
            int group = groups.number(held.global(), held.tensor().shape().rank(), part.experts());
            into.add(held, part.rank(), group, scalars);
        }
    }

    /// The layout that `args` say, proven by the number of elements that it comes to.
    private GradientBuffer layout(RankFile file, int number, Buffer buffer, long count) {
        List<GradientBuffer.Member> members =
                buffer.members.stream()
                        .map(
                                h ->
                                        new GradientBuffer.Member(
                                                h.tensor().shape().count(), isShared(h)))
                        .toList();
        OptionalLong size =
                GradientBuffer.bucketSize(
                        files.arguments(),
                        files.grid(),
                        buffer.chunk,
                        part.rank().pp(),
                        into.elementsOf(part.rank()));
        // Releases before 2024's did not align.
        for (long alignment : List.of(GradientBuffer.ALIGNMENT, 1L)) {
            GradientBuffer layout = GradientBuffer.of(members, size, alignment);
            if (layout.count() == count) {
                return layout;
            }
        }
        throw new RefusedException(
                file.label(),
                "buffer %d has %d elements".formatted(number, count),
                "%d, for %d parameters in %s"
                        .formatted(
                                GradientBuffer.of(members, size, GradientBuffer.ALIGNMENT).count(),
                                members.size(),
                                size.isPresent()
                                        ? "buckets of %d".formatted(size.getAsLong())
                                        : "one bucket"),
                "where each parameter lies in it is not proven so; save it with --ckpt-format"
                        + " torch_dist, or with --no-save-optim");
    }

    private boolean isShared(Held held) {
        return files.grid().pp() > 1
                && files.arguments().tied()
                && (Names.isEmbedding(held.global()) || Names.isHead(held.global()));
    }

    /// One `step` for all groups: which group a parameter is of, the file does not say.
    private Map<String, Scalar> scalars() throws IOException {
        RankFile file = part.rank().model();
        Map<String, Scalar> scalars = new LinkedHashMap<>();
        PickleValue inner = optimizer.find("optimizer").orElseThrow();
        for (PickleValue group :
                file.sequence(file.dict(inner, "a dict with `param_groups`"), "param_groups")) {
            Optional<PickleValue> step = group.find(STEP).filter(v -> !v.isNone());
            Optional<Scalar> value = step.isPresent() ? file.scalar(step.get()) : Optional.empty();
            if (value.isPresent()) {
                Scalar before = scalars.putIfAbsent(STEP, value.get());
                if (before != null && !before.equals(value.get())) {
                    throw new IncompleteCheckpointException(
                            part.label(),
                            "groups at different steps",
                            "one step: which group a parameter is of, the file does not say",
                            "save it with --ckpt-format torch_dist");
                }
            }
        }
        return scalars;
    }
}
