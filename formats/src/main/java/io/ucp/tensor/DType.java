package io.ucp.tensor;

import java.util.Arrays;
import java.util.Optional;

/// An element type, by its name in torch (`torch.bfloat16` is [#BFLOAT16]).
///
/// Types that pack several values in a byte (`float4_e2m1fn_x2`, `quint4x2`) count the byte as the
/// element, as torch does. Source: `c10/core/ScalarType.h`.
public enum DType {
    FLOAT64("float64", 8, "DoubleStorage"),
    FLOAT32("float32", 4, "FloatStorage"),
    FLOAT16("float16", 2, "HalfStorage"),
    BFLOAT16("bfloat16", 2, "BFloat16Storage"),
    FLOAT8_E4M3FN("float8_e4m3fn", 1, ""),
    FLOAT8_E4M3FNUZ("float8_e4m3fnuz", 1, ""),
    FLOAT8_E5M2("float8_e5m2", 1, ""),
    FLOAT8_E5M2FNUZ("float8_e5m2fnuz", 1, ""),
    FLOAT8_E8M0FNU("float8_e8m0fnu", 1, ""),
    FLOAT4_E2M1FN_X2("float4_e2m1fn_x2", 1, ""),
    INT64("int64", 8, "LongStorage"),
    INT32("int32", 4, "IntStorage"),
    INT16("int16", 2, "ShortStorage"),
    INT8("int8", 1, "CharStorage"),
    UINT64("uint64", 8, ""),
    UINT32("uint32", 4, ""),
    UINT16("uint16", 2, ""),
    UINT8("uint8", 1, "ByteStorage"),
    BOOL("bool", 1, "BoolStorage"),
    COMPLEX32("complex32", 4, ""),
    COMPLEX64("complex64", 8, "ComplexFloatStorage"),
    COMPLEX128("complex128", 16, "ComplexDoubleStorage"),
    QINT8("qint8", 1, "QInt8Storage"),
    QUINT8("quint8", 1, "QUInt8Storage"),
    QINT32("qint32", 4, "QInt32Storage"),
    QUINT4X2("quint4x2", 1, "QUInt4x2Storage"),
    QUINT2X4("quint2x4", 1, "QUInt2x4Storage");

    private final String torchName;
    private final int width;
    private final String storageClass;

    DType(String torchName, int width, String storageClass) {
        this.torchName = torchName;
        this.width = width;
        this.storageClass = storageClass;
    }

    /// The name without `torch.`, e.g. `bfloat16`; also the name in the universal manifest.
    public String torchName() {
        return torchName;
    }

    /// Bytes of one element.
    public int width() {
        return width;
    }

    /// The typed storage class in a pickle (`FloatStorage`), or empty where torch writes
    /// `UntypedStorage` with `_rebuild_tensor_v3`.
    public Optional<String> storageClass() {
        return storageClass.isEmpty() ? Optional.empty() : Optional.of(storageClass);
    }

    public static Optional<DType> ofTorchName(String name) {
        return Arrays.stream(values()).filter(d -> d.torchName.equals(name)).findFirst();
    }

    public static Optional<DType> ofStorageClass(String name) {
        return Arrays.stream(values())
                .filter(d -> !name.isEmpty() && d.storageClass.equals(name))
                .findFirst();
    }
}
