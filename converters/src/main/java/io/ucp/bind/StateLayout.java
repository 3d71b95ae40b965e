package io.ucp.bind;

import io.ucp.layout.Replica;

import java.util.List;

/// Where the ranks hold a state of a parameter.
///
/// @param shards one for each coordinate that holds some of it
/// @param copies by the number that shards name
public record StateLayout(List<Shard> shards, List<Replica> copies) {
    public StateLayout {
        shards = List.copyOf(shards);
        copies = List.copyOf(copies);
    }
}
