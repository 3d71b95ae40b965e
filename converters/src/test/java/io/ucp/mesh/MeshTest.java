package io.ucp.mesh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.Coordinate;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;

class MeshTest {
    private static final Mesh MESH =
            new Mesh(
                    List.of(
                            new AxisDegree("pp", 2),
                            new AxisDegree("edp", 3),
                            new AxisDegree("ep", 2),
                            new AxisDegree("tp", 4)),
                    Map.of("dp", List.of("edp", "ep")));

    @Test
    void ranksAndCoordinatesAreTwoNamesOfOneThing() {
        assertThat(MESH.size()).isEqualTo(48);
        for (int rank = 0; rank < MESH.size(); rank++) {
            assertThat(MESH.rank(MESH.coordinate(rank))).isEqualTo(rank);
        }
        assertThat(MESH.coordinate(5))
                .isEqualTo(new Coordinate(Map.of("pp", 0, "edp", 0, "ep", 1, "tp", 1)));
    }

    @Test
    void aProductCountsItsAxesOutermostFirst() {
        assertThat(MESH.degree("dp")).isEqualTo(6);
        Coordinate at = Coordinate.of("edp", 2).with("ep", 1);
        assertThat(MESH.index("dp", at)).hasValue(5);
        assertThat(MESH.index("ep", Coordinate.of("dp", 5))).hasValue(1);
        assertThat(MESH.index("edp", Coordinate.of("dp", 5))).hasValue(2);
        assertThat(MESH.index("dp", Coordinate.of("ep", 1))).isEmpty();
    }

    @Test
    void anAxisThatTheMeshLacksHasDegreeOne() {
        assertThat(MESH.degree("cp")).isEqualTo(1);
        assertThat(MESH.has("cp")).isFalse();
    }

    @Test
    void anAxisIsThereOnceAndHasRanks() {
        assertThatThrownBy(() -> Mesh.of(new AxisDegree("tp", 2), new AxisDegree("tp", 2)))
                .hasMessage("axis tp is there twice");
        assertThatThrownBy(() -> Mesh.of(new AxisDegree("tp", 0)))
                .hasMessage("axis tp has degree 0; expected 1 or more");
        assertThatThrownBy(
                        () ->
                                new Mesh(
                                        List.of(new AxisDegree("ep", 2)),
                                        Map.of("dp", List.of("edp", "ep"))))
                .hasMessage("dp = [edp, ep]; expected axes of the mesh");
    }
}
