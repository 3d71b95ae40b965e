package io.ucp.formats.dcp;

import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.List;
import java.util.Map;

/// A key of the state dict that is to be written.
///
/// @param path of the key in the nested state dict
record Entry(String key, PyTuple path, Value value) {
    sealed interface Value {}

    /// A state of a parameter, cut over the ranks.
    ///
    /// @param whole shape of the parameter, of which `shape` leaves padding rows out
    /// @param tpDim the dim that tensor parallelism cuts, or [RankGrid#UNCUT]
    /// @param chunks that it has whatever the ranks, none where the ranks decide
    record Bound(
            String parameter,
            String state,
            DType dtype,
            Shape shape,
            Shape whole,
            boolean requiresGrad,
            int tpDim,
            List<Chunk> chunks)
            implements Value {}

    /// A tensor that every rank has.
    ///
    /// @param parts its bytes in order, at offsets from its start; zeros where there are none
    record Own(DType dtype, Shape shape, boolean requiresGrad, List<Part> parts) implements Value {}

    /// Any other object.
    record Pickled(PickleValue tree, Map<String, Storage> storages) implements Value {}
}
