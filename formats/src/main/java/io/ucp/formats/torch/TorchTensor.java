package io.ucp.formats.torch;

import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.Arrays;

/// A view of a storage, as a pickle describes it. Several tensors may view one storage.
public final class TorchTensor {
    private final DType dtype;
    private final Shape shape;
    private final long[] strides;
    private final String storageKey;
    private final long storageOffset;
    private final long storageSize;
    private final String location;
    private final boolean requiresGrad;

    private TorchTensor(
            DType dtype,
            Shape shape,
            long[] strides,
            String storageKey,
            long storageOffset,
            long storageSize,
            String location,
            boolean requiresGrad) {
        this.dtype = dtype;
        this.shape = shape;
        this.strides = strides;
        this.storageKey = storageKey;
        this.storageOffset = storageOffset;
        this.storageSize = storageSize;
        this.location = location;
        this.requiresGrad = requiresGrad;
    }

    /// A whole storage as one contiguous tensor on the CPU.
    public static TorchTensor contiguous(DType dtype, Shape shape, String storageKey) {
        long size = Math.multiplyExact(shape.count(), dtype.width());
        return view(dtype, shape, shape.strides(), storageKey, 0, size);
    }

    /// @param storageOffset elements
    /// @param storageSize bytes of the whole storage
    public static TorchTensor view(
            DType dtype,
            Shape shape,
            long[] strides,
            String storageKey,
            long storageOffset,
            long storageSize) {
        return new TorchTensor(
                dtype,
                shape,
                strides.clone(),
                storageKey,
                storageOffset,
                storageSize,
                "cpu",
                false);
    }

    /// A copy on this device (`cuda:0`).
    public TorchTensor at(String otherLocation) {
        return new TorchTensor(
                dtype,
                shape,
                strides,
                storageKey,
                storageOffset,
                storageSize,
                otherLocation,
                requiresGrad);
    }

    public TorchTensor requiringGrad(boolean required) {
        return new TorchTensor(
                dtype, shape, strides, storageKey, storageOffset, storageSize, location, required);
    }

    public DType dtype() {
        return dtype;
    }

    public Shape shape() {
        return shape;
    }

    /// In elements, outermost first.
    public long[] strides() {
        return strides.clone();
    }

    public long stride(int dim) {
        return strides[dim];
    }

    /// The record is `<root>/data/<key>`.
    public String storageKey() {
        return storageKey;
    }

    /// Where the view begins in its storage, in elements.
    public long storageOffset() {
        return storageOffset;
    }

    /// Bytes of the whole storage.
    public long storageSize() {
        return storageSize;
    }

    /// `cpu`, `cuda:0`, ..
    public String location() {
        return location;
    }

    public boolean requiresGrad() {
        return requiresGrad;
    }

    /// Bytes of the tensor's elements, one after the other.
    public long size() {
        return Math.multiplyExact(shape.count(), dtype.width());
    }

    /// Whether the elements lie one after the other in row-major order. The stride of a dim of one
    /// element does not count, and nothing does where there are no elements.
    public boolean isContiguous() {
        if (shape.count() == 0) {
            return true;
        }
        long[] dense = shape.strides();
        for (int d = 0; d < dense.length; d++) {
            if (shape.dim(d) != 1 && strides[d] != dense[d]) {
                return false;
            }
        }
        return true;
    }

    /// Elements from the view's first to past its last.
    ///
    /// @throws ArithmeticException where it does not fit in a long
    public long extent() {
        if (shape.count() == 0) {
            return 0;
        }
        long last = 0;
        for (int d = 0; d < strides.length; d++) {
            last = Math.addExact(last, Math.multiplyExact(shape.dim(d) - 1, strides[d]));
        }
        return Math.addExact(last, 1);
    }

    /// `bfloat16 [12, 4]`, with strides where they are not row-major.
    @Override
    public String toString() {
        String text = "%s %s".formatted(dtype.torchName(), shape);
        return isContiguous() ? text : text + " strides " + Arrays.toString(strides);
    }
}
