package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.ReadNames;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Span;
import io.ucp.mesh.Mesh;

import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// The names that a spec's expressions read, so that a `--set` that nothing reads is not lost
/// silently.
public final class SettingNames {
    private SettingNames() {}

    /// For a source that is read without its spec, since it holds every parameter whole.
    ///
    /// @throws io.ucp.lang.diagnostic.SpecException where nothing in the spec reads a name
    public static void check(Spec spec, CheckpointIndex index, Map<String, Long> settings) {
        Problems problems = new Problems();
        check(spec, MeshReader.of(index), settings, problems);
        problems.throwIfAny();
    }

    /// What a spec reads, and what it gives itself.
    public static Set<String> of(Spec spec) {
        Set<String> names = new LinkedHashSet<>(ReadNames.of(spec));
        spec.lets().forEach(let -> names.add(let.name().text()));
        return names;
    }

    static void check(Spec spec, Mesh mesh, Map<String, Long> settings, Problems problems) {
        Set<String> names = of(spec);
        for (String name : settings.keySet()) {
            Optional<Let> let =
                    spec.lets().stream().filter(l -> l.name().text().equals(name)).findFirst();
            if (let.isPresent()) {
                problems.error(
                        let.get().name().span(),
                        "--set %s: the spec itself gives '%s'; expected a name that it leaves open"
                                .formatted(name, name));
            } else if (mesh.has(name)) {
                problems.error(
                        Span.NONE,
                        "--set %s: the axis %s has %d ranks in the checkpoint; expected a name that it leaves open"
                                .formatted(name, name, mesh.degree(name)));
            } else if (!names.contains(name)) {
                problems.error(
                        Span.NONE,
                        "--set %s: nothing in the spec reads '%s'; expected %s"
                                .formatted(
                                        name,
                                        name,
                                        names.isEmpty()
                                                ? "no --set, since it reads no name"
                                                : "one of "
                                                        + String.join(", ", new TreeSet<>(names))),
                        problems.near().hint(name, names));
            }
        }
    }
}
