package io.ucp.formats.distcp;

import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.List;

/// What a checkpoint holds under one key.
public sealed interface StateDictEntry {
    /// A tensor in chunks that tile it.
    ///
    /// @param requiresGrad as its `TensorProperties` say
    record OfTensor(DType dtype, Shape shape, boolean requiresGrad, List<Stored> chunks)
            implements StateDictEntry {
        public OfTensor {
            chunks = List.copyOf(chunks);
        }
    }

    record Stored(Chunk chunk, Place place) {}

    /// Any other object.
    record OfObject(Place place) implements StateDictEntry {}
}
