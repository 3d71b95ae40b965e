package io.ucp.plan;

import java.util.List;
import java.util.OptionalLong;

/// All target files of a conversion: pure data.
///
/// @param labels what the steps' labels stand for
public record CopyPlan(List<TargetPlan> targets, List<Label> labels) {
    public CopyPlan {
        targets = List.copyOf(targets);
        labels = List.copyOf(labels);
    }

    /// Bytes of all targets (of the uncompressed views where they are compressed).
    public long size() {
        return targets.stream().mapToLong(TargetPlan::size).sum();
    }

    /// A state of a parameter.
    ///
    /// @param copies labels of its copies, for messages about replicas that differ
    /// @param digestSize bytes of the real tensor where the plan digests it
    public record Label(
            String parameter, String state, List<String> copies, OptionalLong digestSize) {
        public Label {
            copies = List.copyOf(copies);
        }
    }
}
