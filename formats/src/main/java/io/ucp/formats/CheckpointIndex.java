package io.ucp.formats;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// What the files of one checkpoint say, without reading tensor data: facts, no layout. Every
/// format gives this; assembling it into parameters is the compiler's.
///
/// @param format the name of the format that read it
/// @param folder the folder that holds the files
/// @param tag the checkpoint's own name (`global_step3`)
/// @param mesh the axes of the job that wrote it, outermost first; empty where nothing is sharded
/// @param wholes parameters that a format holds whole and describes itself (universal forms); empty
///   for rank-sharded formats
/// @param members what is known of `tensors` that an optimizer holds, apart from their bytes
/// @param stage the ZeRO stage, or -1 where the format has none
public record CheckpointIndex(
        String format,
        Path folder,
        String tag,
        OptionalLong iteration,
        int stage,
        List<AxisDegree> mesh,
        List<HeldTensor> tensors,
        List<FlatGroup> flatGroups,
        List<WholeParameter> wholes,
        LayoutHints hints,
        List<CarriedFile> carried,
        Origin origin,
        List<Finding> findings,
        List<OptimizerMember> members) {
    public CheckpointIndex {
        mesh = List.copyOf(mesh);
        tensors = List.copyOf(tensors);
        flatGroups = List.copyOf(flatGroups);
        wholes = List.copyOf(wholes);
        carried = List.copyOf(carried);
        findings = List.copyOf(findings);
        members = List.copyOf(members);
    }

    /// Where no optimizer holds tensors of its own, or nothing says how it groups them.
    public CheckpointIndex(
            String format,
            Path folder,
            String tag,
            OptionalLong iteration,
            int stage,
            List<AxisDegree> mesh,
            List<HeldTensor> tensors,
            List<FlatGroup> flatGroups,
            List<WholeParameter> wholes,
            LayoutHints hints,
            List<CarriedFile> carried,
            Origin origin,
            List<Finding> findings) {
        this(
                format,
                folder,
                tag,
                iteration,
                stage,
                mesh,
                tensors,
                flatGroups,
                wholes,
                hints,
                carried,
                origin,
                findings,
                List.of());
    }

    /// The same with more numbers of the model; those that it has stay.
    public CheckpointIndex withNumbers(Map<String, Long> numbers) {
        return new CheckpointIndex(
                format,
                folder,
                tag,
                iteration,
                stage,
                mesh,
                tensors,
                flatGroups,
                wholes,
                hints.withNumbers(numbers),
                carried,
                origin,
                findings,
                members);
    }

    /// The same, described by a spec.
    public CheckpointIndex withSpec(String text) {
        return new CheckpointIndex(
                format,
                folder,
                tag,
                iteration,
                stage,
                mesh,
                tensors,
                flatGroups,
                wholes,
                hints,
                carried,
                new Origin(
                        origin.format(),
                        origin.tag(),
                        origin.stage(),
                        origin.mesh(),
                        Optional.of(text)),
                findings,
                members);
    }

    /// The degree of `axis`, 1 where the mesh lacks it.
    public int degree(String axis) {
        return mesh.stream()
                .filter(a -> a.axis().equals(axis))
                .mapToInt(AxisDegree::degree)
                .findFirst()
                .orElse(1);
    }
}
