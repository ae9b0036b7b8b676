// SPDX-License-Identifier: MIT OR Apache-2.0

// keep · frame + upscaled residual, in the same integer arithmetic as the CPU's kernels, with identical results.

uniform sampler2D frame;
// In 64ths of a grey level.
uniform isampler2D residual;
// Row 0 for each column of the frame, row 1 for each row: the residual's position before it, and the weight of
// the position after it, in 256ths.
uniform usampler2D taps;
// In 16384ths.
uniform int keep;

out vec4 color;

ivec3 lerp_row(int left, int right, int y, int weight) {
    ivec3 before = texelFetch(residual, ivec2(left, y), 0).rgb;
    ivec3 after = texelFetch(residual, ivec2(right, y), 0).rgb;
    return before + (((after - before) * weight) >> 8);
}

void main() {
    ivec2 place = ivec2(gl_FragCoord.xy);
    vec4 pixel = texelFetch(frame, place, 0);
    ivec3 source = ivec3(pixel.rgb * 255.0 + 0.5);
    ivec2 column = ivec2(texelFetch(taps, ivec2(place.x, 0), 0).rg);
    ivec2 row = ivec2(texelFetch(taps, ivec2(place.y, 1), 0).rg);
    ivec2 after = min(ivec2(column.x, row.x) + 1, textureSize(residual, 0) - 1);
    ivec3 upper = lerp_row(column.x, after.x, row.x, column.y);
    ivec3 lower = lerp_row(column.x, after.x, after.y, column.y);
    ivec3 sum = source * keep + upper * 256 + (lower - upper) * row.y + 8192;
    color = vec4(vec3(clamp(sum >> 14, 0, 255)) / 255.0, pixel.a);
}
