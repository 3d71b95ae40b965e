package io.ucp.formats.safetensors;

import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/// The dtypes of the form, in its own order: a file has the tensors of the last first.
///
/// `F4` counts its halves of a byte as elements and torch the bytes, so the last dimension differs
/// by a factor of two. The six-bit types have no torch dtype.
///
/// Source: safetensors `src/tensor.rs` (`Dtype`), `bindings/python/src/lib.rs`.
enum Element {
    BOOL(DType.BOOL),
    F4(DType.FLOAT4_E2M1FN_X2),
    U8(DType.UINT8),
    I8(DType.INT8),
    F8_E5M2(DType.FLOAT8_E5M2),
    F8_E4M3(DType.FLOAT8_E4M3FN),
    F8_E8M0(DType.FLOAT8_E8M0FNU),
    F8_E4M3FNUZ(DType.FLOAT8_E4M3FNUZ),
    F8_E5M2FNUZ(DType.FLOAT8_E5M2FNUZ),
    I16(DType.INT16),
    U16(DType.UINT16),
    F16(DType.FLOAT16),
    BF16(DType.BFLOAT16),
    I32(DType.INT32),
    U32(DType.UINT32),
    F32(DType.FLOAT32),
    C64(DType.COMPLEX64),
    F64(DType.FLOAT64),
    I64(DType.INT64),
    U64(DType.UINT64);

    private final DType dtype;

    Element(DType dtype) {
        this.dtype = dtype;
    }

    DType dtype() {
        return dtype;
    }

    static Optional<Element> named(String name) {
        return Arrays.stream(values()).filter(e -> e.name().equals(name)).findFirst();
    }

    static Optional<Element> of(DType dtype) {
        return Arrays.stream(values()).filter(e -> e.dtype == dtype).findFirst();
    }

    static String names() {
        return Arrays.stream(values()).map(Element::name).collect(Collectors.joining(", "));
    }

    /// The shape as torch has it; empty where there is none.
    ///
    /// @throws ArithmeticException where the count does not fit in a long
    Optional<Shape> torchShape(long[] dims) {
        if (this != F4) {
            return Optional.of(Shape.of(dims));
        }
        int last = dims.length - 1;
        return last < 0 || dims[last] % 2 != 0
                ? Optional.empty()
                : Optional.of(Shape.of(dims).with(last, dims[last] / 2));
    }

    /// The shape as the form has it; empty where there is none.
    Optional<long[]> fileShape(Shape shape) {
        long[] dims = shape.dims();
        if (this == F4) {
            if (dims.length == 0) {
                return Optional.empty();
            }
            dims[dims.length - 1] = Math.multiplyExact(dims[dims.length - 1], 2);
        }
        return Optional.of(dims);
    }
}
