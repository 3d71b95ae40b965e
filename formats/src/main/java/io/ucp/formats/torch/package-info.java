/// `torch.save` containers: indexed without reading tensor data, and laid out for writing.
///
/// ```
/// <root>/data.pkl            the object, a protocol 2 pickle; tensors refer to storages by key
/// <root>/.format_version     '1'            (newer torch; may be absent)
/// <root>/.storage_alignment  '64'           (newer torch; may be absent)
/// <root>/byteorder           'little'
/// <root>/data/<key>          the bytes of one storage, from a multiple of 64 on
/// <root>/version             '3\n'
/// <root>/.data/serialization_id             (newer torch; may be absent)
/// ```
///
/// The container is a zip whose records are all stored, not compressed. A record is a local header
/// (30 bytes, the name, an extra field `FB` that pads up to the data), its data, and a data
/// descriptor (`PK\7\8`, CRC-32, both sizes; 16 bytes, 24 in zip64; none after an empty record).
/// Then come the central directory, always a zip64 end record with its locator, and the end record.
///
/// Source: PyTorch `caffe2/serialize/inline_container.cc`, `third_party/miniz-3.0.2/miniz.c`,
/// `torch/serialization.py`, `torch/_utils.py`.
@NullMarked
package io.ucp.formats.torch;

import org.jspecify.annotations.NullMarked;
