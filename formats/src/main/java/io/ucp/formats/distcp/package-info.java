/// The container that torch's distributed checkpointing writes, shared by the formats that use it.
///
/// ```
/// .metadata             pickle of Metadata, written last: the checkpoint is there when it is
/// __{rank}_{n}.distcp   items end to end, each a whole torch.save container of its own:
///                       a chunk of a tensor, or any other object ("bytes")
///
/// Metadata
///   state_dict_metadata {key: TensorStorageMetadata(properties, size, chunks [offsets, sizes])
///                        | BytesStorageMetadata()}
///   storage_data        {MetadataIndex(key, offsets): _StorageInfo(relative_path, offset, length)}
///   planner_data        {key: path of the key in the nested state dict}
/// ```
///
/// Offsets and sizes of chunks are elements; offset and length of an item are bytes of its file.
/// The pickle is read as data: no class that it names is looked up.
///
/// Source: torch `distributed/checkpoint/metadata.py`, `filesystem.py`, `default_planner.py`.
@NullMarked
package io.ucp.formats.distcp;

import org.jspecify.annotations.NullMarked;
