package io.ucp.formats.megatrondist;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter.Placed;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.ItemReader;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// States of a distributed optimizer in the form `fully_sharded_model_space`: each rank's stretch
/// of a tensor-parallel shard, which is one row. The key's shape has for every dim of the stacked
/// tensor into how many equal parts it was cut, then the elements of a part; the tensor's own shape
/// is beside it in `mcore_data`.
///
/// Source: Megatron-LM core 0.12 `core/dist_checkpointing/strategies/torch.py`
/// (`mcore_to_pyt_state_dict`, `_unwrap_pyt_sharded_tensor`), `strategies/resharding.py`
/// (`nd_flattened_tensor_reformulated_global_shape`).
final class ModelSpace {
    private static final String SHAPE = "nd_reformulated_orig_global_shape";

    private ModelSpace() {}

    /// The tensor's own shape, where the key is of this form.
    static Optional<Shape> shape(Optional<PyDict> extra, String key) {
        return extra.flatMap(data -> data.find(key))
                .flatMap(data -> data.find(SHAPE))
                .flatMap(PickleValue::asSequence)
                .filter(dims -> dims.stream().allMatch(d -> d.asLong().orElse(-1) >= 0))
                .map(
                        dims ->
                                Shape.of(
                                        dims.stream()
                                                .mapToLong(d -> d.asLong().orElse(0))
                                                .toArray()));
    }

    /// Adds the stretches of every parameter of a key.
    ///
    /// @param whole the stacked tensor's own shape
    static void place(
            String name,
            OfTensor tensor,
            Shape whole,
            StackedKey key,
            ItemReader items,
            Map<List<Long>, List<Placed>> into)
            throws IncompleteCheckpointException {
        int rank = whole.rank();
        long[] cuts = tensor.shape().dims();
        boolean fits = cuts.length == rank + 1;
        long[] extent = new long[rank];
        for (int d = 0; fits && d < rank; d++) {
            fits = cuts[d] > 0 && whole.dim(d) % cuts[d] == 0;
            extent[d] = fits ? whole.dim(d) / cuts[d] : 0;
        }
        fits = fits && Shape.of(extent).count() == cuts[rank];
        for (int d = 0; fits && d < key.lead(); d++) {
            fits = extent[d] == 1;
        }
        if (!fits) {
            throw wrong(name, "shape %s of a tensor %s".formatted(tensor.shape(), whole));
        }
        for (Stored stored : tensor.chunks()) {
            add(name, stored, whole, extent, key.lead(), items.tensor(stored.place()), into);
        }
    }

    private static void add(
            String name,
            Stored stored,
            Shape whole,
            long[] extent,
            int lead,
            TensorEntry entry,
            Map<List<Long>, List<Placed>> into)
            throws IncompleteCheckpointException {
        Chunk chunk = stored.chunk();
        int rank = whole.rank();
        long count = chunk.extent().dim(rank);
        if (chunk.extent().count() != count || !entry.isDense()) {
            throw wrong(name, "a chunk of several parts, " + chunk);
        }
        if (count == 0) {
            return;
        }
        long[] start = new long[rank];
        for (int d = 0; d < rank; d++) {
            start[d] = chunk.start().get(d) * extent[d];
        }
        Shape own = Shape.of(Arrays.copyOfRange(whole.dims(), lead, rank));
        Piece part =
                Piece.box(
                        own,
                        Arrays.copyOfRange(start, lead, rank),
                        Arrays.copyOfRange(extent, lead, rank));
        long from = chunk.start().get(rank);
        TensorEntry flat =
                TensorEntry.dense(entry.source(), entry.offset(), entry.dtype(), Shape.of(count));
        List<Long> at = chunk.start().subList(0, lead);
        for (Piece piece : part.cut(from, from + count)) {
            into.computeIfAbsent(at, _ -> new ArrayList<>()).add(new Placed(flat, piece));
        }
    }

    private static IncompleteCheckpointException wrong(String key, String found) {
        return new IncompleteCheckpointException(
                "'%s'".formatted(key),
                found,
                "equal parts of the tensor that `mcore_data` names, each in one row",
                "the checkpoint is damaged or of a release that is not known");
    }
}
