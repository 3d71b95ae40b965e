package io.ucp.plan;

import java.util.List;

/// All target files of a conversion: pure data.
///
/// @param labels what the steps' labels stand for
public record CopyPlan(List<TargetPlan> targets, List<Label> labels) {
    public CopyPlan {
        targets = List.copyOf(targets);
        labels = List.copyOf(labels);
    }

    /// A state of a parameter.
    ///
    /// @param copies labels of its copies, for messages about replicas that differ
    public record Label(String parameter, String state, List<String> copies) {
        public Label {
            copies = List.copyOf(copies);
        }
    }
}
