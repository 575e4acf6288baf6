"""Render the example scenes: five path-traced pictures and their exact class masks.

No photo is redistributed with the project, so its examples are built here from primitives: procedural materials,
a physical sky, a lens with depth of field. How to run it, on Python 3.11:

    pip install bpy==4.5.15
    python segdemo/examples/render.py                                  # all scenes, some minutes on a CPU
    python segdemo/examples/render.py car-side --draft --out drafts    # half the size, few samples

It writes dataset.json, test/images/NAME.webp and test/masks/NAME.png, the folder form that training data has too.
Units are metres, z is up, chairs and houses look towards -y, cars towards -x; mask values are indices into CLASSES.
"""

import argparse
import contextlib
import json
import math
import tempfile
from pathlib import Path

import bpy  # isort: skip (it is what makes bmesh and mathutils importable)
import bmesh
import numpy as np
from mathutils import Matrix, Vector, noise

CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
).split()
rng = np.random.default_rng(0)  # reseeded for every scene
current_class = 0  # the mask value of what is being built; see labelled()


@contextlib.contextmanager
def labelled(name, place=(0, 0, 0), turn=0.0):
    """What is built in this block is one thing: it gets the class `name`, is turned (degrees) and put at `place`."""
    global current_class
    others, before, current_class = set(bpy.data.objects), current_class, CLASSES.index(name)
    yield
    current_class = before
    for part in set(bpy.data.objects) - others:
        part.matrix_basis = Matrix.Translation(place) @ Matrix.Rotation(math.radians(turn), 4, "Z") @ part.matrix_basis


# ---- materials ------------------------------------------------------------------------------------------------------


def connect(tree, to, key, value):
    """Give an input a value, or link it to another node's output."""
    if isinstance(value, bpy.types.NodeSocket):
        tree.links.new(value, to.inputs[key])
    else:
        to.inputs[key].default_value = (*value, 1) if to.inputs[key].type == "RGBA" else value


def node(tree, kind, inputs, out=0, **settings):
    """Add a shader node and return its output `out`."""
    made = tree.nodes.new("ShaderNode" + kind)
    for key, value in settings.items():
        setattr(made, key, value)
    for key, value in inputs.items():
        connect(tree, made, key, value)
    return made.outputs[out] if made.outputs else None


def material(name, color, other=None, rough=0.5, *, scale=8.0, stretch=(1, 1, 1), contrast=0.5, bump=0.0, vary=0.0,
             bricks=False, **principled):
    """A Principled surface whose colour runs from `color` to `other` with fractal noise, or in courses of bricks.

    `bump` is in metres; `vary` changes the brightness from one loose piece of a mesh to the next (leaves, boards).
    """
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    place = node(tree, "VectorMath", {0: node(tree, "TexCoord", {}, "Object"), 1: stretch}, operation="MULTIPLY")
    if bricks:  # walls stand along x or y: lay the bricks along x + y, the courses along z
        x, y, z = (node(tree, "SeparateXYZ", {0: place}, axis) for axis in "XYZ")
        flat = node(tree, "CombineXYZ", {0: node(tree, "Math", {0: x, 1: y}), 1: z})
        wall = {"Vector": flat, "Color1": color, "Color2": other, "Mortar": (0.42, 0.4, 0.37), "Mortar Size": 0.018}
        shade = node(tree, "TexBrick", wall | {"Scale": scale})
        height = node(tree, "TexNoise", {"Vector": place, "Scale": 40.0})
    else:  # shifted at random, so that two planks of one wood differ
        shift = node(tree, "Math", {0: node(tree, "ObjectInfo", {}, "Random"), 1: 17.0}, operation="MULTIPLY")
        moved = node(tree, "VectorMath", {0: place, 1: shift})
        height = node(tree, "TexNoise", {"Vector": moved, "Scale": scale, "Detail": 8.0, "Roughness": 0.62})
        steep = node(tree, "MapRange", {0: height, 1: 0.5 - contrast / 2, 2: 0.5 + contrast / 2})
        shade = node(tree, "MixRGB", {0: steep, 1: color, 2: other or color})
    piece = node(tree, "NewGeometry", {}, "Random Per Island")
    value = node(tree, "MapRange", {0: piece, 3: 1 - vary, 4: 1 + vary})
    principled |= {"Base Color": node(tree, "HueSaturation", {"Value": value, "Color": shade}), "Roughness": rough}
    if bump:
        principled["Normal"] = node(tree, "Bump", {"Height": height, "Distance": bump, "Strength": 1.0})
    for key, value in principled.items():
        connect(tree, tree.nodes["Principled BSDF"], key, value)
    return made


def wood(name, light, dark, rough=0.4, grain=(1, 1, 0.06), vary=0.0):
    return material(name, dark, light, rough, scale=22, stretch=grain, contrast=0.45, bump=0.0006, vary=vary)


def fabric(name, color, scale=90):
    lighter = tuple(c * 1.5 + 0.01 for c in color)
    return material(name, color, lighter, 0.95, scale=scale, contrast=0.8, bump=0.003, **{"Sheen Weight": 0.3})


def car_paint():
    """Lacquer in the colour of the object that wears it, so that cars can share their meshes."""
    made = material("paint", (1, 1, 1), rough=0.35, Metallic=0.3, **{"Coat Weight": 1.0, "Coat Roughness": 0.03})
    color = node(made.node_tree, "ObjectInfo", {}, "Color")
    connect(made.node_tree, made.node_tree.nodes["Principled BSDF"], "Base Color", color)
    return made


def leaves(name="leaf", color=(0.05, 0.11, 0.02)):
    return material(name, color, tuple(c * 1.7 for c in color), vary=0.45)


def thin_glass(name, tint):
    """A sheet that lets tinted light straight through and mirrors the rest, so there is no refraction to resolve."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    through, mirror = node(tree, "BsdfTransparent", {0: tint}), node(tree, "BsdfGlossy", {"Roughness": 0.01})
    node(tree, "OutputMaterial", {0: node(tree, "MixShader", {0: node(tree, "Fresnel", {0: 1.6}), 1: through, 2: mirror})})
    return made


# ---- geometry -------------------------------------------------------------------------------------------------------


def build(vertices, faces, surface, *, bevel=0.0, sharp=35, matrix=None):
    """A labelled mesh object, smooth shaded except where its faces meet at more than `sharp` degrees."""
    mesh = bpy.data.meshes.new("mesh")
    mesh.from_pydata([tuple(v) for v in vertices], [], [tuple(f) for f in faces])
    mesh.materials.append(surface)
    mesh.shade_smooth()
    mesh.set_sharp_from_angle(angle=math.radians(sharp))
    made = bpy.data.objects.new("object", mesh)
    bpy.context.collection.objects.link(made)
    made.pass_index, made.matrix_basis = current_class, matrix or Matrix()
    if bevel:
        rounding = made.modifiers.new("bevel", "BEVEL")
        rounding.width, rounding.segments = bevel, 3
    return made


def closed(made):
    """Join vertices that coincide and turn all faces outwards."""
    work = bmesh.new()
    work.from_mesh(made.data)
    bmesh.ops.remove_doubles(work, verts=work.verts, dist=1e-4)
    bmesh.ops.recalc_face_normals(work, faces=work.faces)
    work.to_mesh(made.data)
    return made


def aim(start, end, axis):
    """The frame that stands at `start` with its `axis` ("Z" or "-Z") towards `end`."""
    way = Vector(end) - Vector(start)
    return Matrix.Translation(start) @ way.to_track_quat(axis, "Y").to_matrix().to_4x4()


CORNERS = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))


def boxes(places, surface, bevel=0.0):
    """Many axis-aligned boxes as one mesh; `places` holds (centre, size) pairs."""
    vertices = np.concatenate([CORNERS * size + centre for centre, size in places])
    return build(vertices, [[i + 8 * n for i in side] for n in range(len(places)) for side in SIDES], surface, bevel=bevel)


def box(centre, size, surface, bevel=0.004):
    return boxes([(centre, size)], surface, bevel)


def beam(start, end, width, depth, surface, bevel=0.004):
    """A plank from start to end; wood grain follows its length."""
    size = (width, depth, math.dist(start, end))
    return build((CORNERS + (0, 0, 0.5)) * size, SIDES, surface, bevel=bevel, matrix=aim(start, end, "Z"))


def ring_faces(rings, steps):
    """Quads between consecutive closed rings of `steps` vertices."""
    quad = ((0, 0), (0, 1), (1, 1), (1, 0))
    return [[(r + j) * steps + (i + k) % steps for j, k in quad] for r in range(rings - 1) for i in range(steps)]


def lathe(profile, surface, place, steps=48):
    """Turn (radius, height) pairs around the z axis of `place`, a point or a matrix."""
    circle = [(math.cos(a), math.sin(a)) for a in np.arange(steps) * 2 * np.pi / steps]
    matrix = place if isinstance(place, Matrix) else Matrix.Translation(place)
    vertices = [(r * c, r * s, z) for r, z in profile for c, s in circle]
    return build(vertices, ring_faces(len(profile), steps), surface, matrix=matrix)


def rod(start, end, radius, surface, tip=None):
    length = math.dist(start, end)
    profile = [(0, 0), (radius, 0), (tip or radius, length), (0, length)]
    return lathe(profile, surface, aim(start, end, "Z"), steps=24)


def cushion(centre, size, surface, *, roundness=5.0, puff=0.25, wrinkles=0.006, lean=0.0, bend=0.0):
    """A soft box: corners rounded as a superellipsoid, faces puffed towards their middle, wrinkled by noise."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 25)] * 2), -1).reshape(-1, 2)
    unit = np.concatenate([np.insert(grid, axis, side, axis=1) for axis in range(3) for side in (-1, 1)])
    starts = [625 * n + i * 25 + j for n in range(6) for i in range(24) for j in range(24)]
    unit /= (np.abs(unit) ** roundness).sum(1, keepdims=True) ** (1 / roundness)
    thin = int(np.argmin(size))  # the axis that puffs
    unit[:, thin] *= 1 - puff * np.delete(np.abs(unit), thin, axis=1).max(1) ** 4
    shaped = unit * np.array(size) / 2
    shaped += [wrinkles * np.array(noise.noise_vector(Vector(p * 7) + Vector(centre))) for p in shaped]
    shaped[:, 1] += bend * unit[:, 0] ** 2
    matrix = Matrix.Translation(centre) @ Matrix.Rotation(lean, 4, "X")
    return closed(build(shaped, [[s + o for o in (0, 25, 26, 1)] for s in starts], surface, sharp=180, matrix=matrix))


def blades(roots, length, width, surface):
    """Long drooping leaves, one from each root."""
    vertices, faces = [], []
    for root in roots:
        turn, lean, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.7), length * rng.uniform(0.6, 1.2)
        out, side, up = np.array(((math.cos(turn), math.sin(turn), 0), (-math.sin(turn), math.cos(turn), 0), (0, 0, 1)))
        faces += [[len(vertices) + 3 * k + j + o for o in (0, 1, 4, 3)] for k in range(6) for j in (0, 1)]
        for t in np.linspace(0, 1, 7):
            spine = root + reach * t * (out * math.sin(lean + 0.8 * t) + up * math.cos(lean + 0.8 * t))
            half = width * max(math.sin(math.pi * (0.12 + 0.88 * t)), 0.02) / 2
            vertices += [spine + half * (0.4 * up - side), spine, spine + half * (0.4 * up + side)]
    return build(vertices, faces, surface, sharp=180)


def foliage(centres, radii, count, size, surface):
    """Loose leaves in ellipsoidal clumps, denser towards each clump's skin: tree crowns and hedges."""
    which = rng.integers(len(centres), size=count)
    way, tip, side = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(3, count, 3)))
    at = np.array(centres)[which] + way * np.array(radii)[which] * rng.uniform(0.35, 1, (count, 1)) ** 0.55
    tip, side = size * rng.uniform(0.3, 0.6, (count, 1)) * tip, size * rng.uniform(0.15, 0.3, (count, 1)) * side
    vertices = np.stack([at - tip, at + side, at + tip, at - side], 1).reshape(-1, 3)
    return build(vertices, np.arange(4 * count).reshape(-1, 4), surface, sharp=180)


# ---- cars -----------------------------------------------------------------------------------------------------------

NOSE, TAIL, AXLES = -2.13, 2.13, (-1.28, 1.32)
# Profiles along the car, as (x, value): height of the centre line, height of the shoulder, half width, and how far
# the sides lag behind the middle, which curves nose and windscreen in plan.
TOP = [(NOSE, 0.68), (-2.07, 0.80), (-1.85, 0.87), (-0.98, 1.0), (-0.12, 1.41), (0.4, 1.475), (1.2, 1.45), (1.72, 1.37),
       (2.0, 1.02), (2.08, 0.95), (TAIL, 0.72)]
SHOULDER = [(NOSE, 0.66), (-1.9, 0.78), (-0.95, 0.92), (0, 0.94), (1.5, 0.98), (TAIL, 0.90)]
WIDTH = [(NOSE, 0.78), (-2.0, 0.85), (-1.6, 0.89), (1.3, 0.895), (1.8, 0.87), (TAIL, 0.80)]
LAG = [(NOSE, 0.27), (-1.5, 0.05), (-1.0, 0.08), (-0.3, 0.06), (0.2, 0), (1.3, 0), (TAIL, -0.16)]
# Outlines seen from the side (x, z), then from the front (y, z).
SIDE_WINDOWS = [[(-0.66, 0.975), (-0.06, 1.325), (0.4, 1.375), (0.44, 0.985)],
                [(0.51, 0.988), (0.48, 1.378), (1.0, 1.36), (1.28, 1.27), (1.42, 1.03)]]
WINDOW_FRAME = [(-0.78, 0.955), (-0.1, 1.345), (0.42, 1.4), (1.02, 1.385), (1.33, 1.29), (1.5, 1.01), (1.42, 0.99)]
DOORS = [[(-0.84, 0.94), (-0.86, 0.6), (-0.8, 0.3), (0.46, 0.28), (0.47, 0.97)],
         [(0.47, 0.28), (0.95, 0.3), (1.0, 0.55), (1.3, 0.78), (1.42, 0.99)]]
WINDSCREEN = [(-0.7, 1.035), (-0.55, 1.36), (0.55, 1.36), (0.7, 1.035)]
REAR_WINDOW = [(-0.6, 1.06), (-0.52, 1.34), (0.52, 1.34), (0.6, 1.06)]
TAILGATE = [(-0.62, 0.5), (-0.6, 0.93), (0.6, 0.93), (0.62, 0.5)]
HEADLIGHT = [(0.42, 0.64), (0.5, 0.735), (0.95, 0.80), (0.95, 0.69), (0.75, 0.63)]
TAIL_LIGHT = [(0.5, 0.84), (0.5, 0.97), (0.95, 1.02), (0.95, 0.84)]
GRILLES = [[(-0.4, 0.62), (-0.42, 0.69), (0.42, 0.69), (0.4, 0.62)], [(-0.62, 0.3), (-0.55, 0.46), (0.55, 0.46), (0.62, 0.3)]]
DIFFUSER = [(-0.7, 0.2), (-0.62, 0.4), (0.62, 0.4), (0.7, 0.2)]


def eased(x, points, radius):
    """The polyline through (x, value) points with its corners rounded over about `radius`."""
    return np.mean([np.interp(x + shift, *np.transpose(points)) for shift in np.linspace(-radius, radius, 9)], axis=0)


def rounded(outline, cut=0.12):
    """Cut an outline's corners twice (Chaikin)."""
    for share in (cut, 0.25):
        step = np.roll(outline, -1, axis=0) - outline
        outline = np.stack([outline + share * step, outline + (1 - share) * step], 1).reshape(-1, 2)
    return outline


def gap(points, width=0.008):
    """A thin outline that follows a polyline: the gap around a door."""
    ways = np.gradient(np.array(points), axis=0)
    across = np.stack([-ways[:, 1], ways[:, 0]], 1) / np.linalg.norm(ways, axis=1, keepdims=True) * width / 2
    return np.concatenate([points + across, (points - across)[::-1]])


def mirrored(outline):
    return [rounded([(side * u, v) for u, v in outline]) for side in (-1, 1)]


def prism(outlines, axis, low, high, surface):
    """Extrude outlines from low to high: along "y" they are (x, z), along "x" they are (y, z)."""
    vertices, faces = [], []
    for outline in outlines:
        n, first = len(outline), len(vertices)
        vertices += [(u, d, v) if axis == "y" else (d, u, v) for d in (low, high) for u, v in outline]
        faces += [range(first, first + n), range(first + n, first + 2 * n)]
        faces += [[first + i for i in (k, n + k, n + (k + 1) % n, (k + 1) % n)] for k in range(n)]
    return closed(build(vertices, faces, surface))


def carve(target, cutter, operation, skin_only=False):
    """Apply a boolean and drop the cutter; with skin_only keep just the faces that lie on the target's own surface."""
    change = target.modifiers.new("carve", "BOOLEAN")
    change.object, change.operation, change.solver, change.material_mode = cutter, operation, "EXACT", "TRANSFER"
    target.data = bpy.data.meshes.new_from_object(target.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    target.modifiers.clear()
    bpy.data.objects.remove(cutter)
    if skin_only:
        work = bmesh.new()
        work.from_mesh(target.data)
        bmesh.ops.delete(work, geom=[f for f in work.faces if f.material_index], context="FACES")
        work.to_mesh(target.data)
    return target


def car_section(x):
    """Half a cross-section of the body at x, from the middle of the floor round to the middle of the roof."""
    top, shoulder, width = eased(x, TOP, 0.05), eased(x, SHOULDER, 0.2), eased(x, WIDTH, 0.1)
    width += sum(0.012 * math.exp(-(((x - axle) / 0.36) ** 2)) for axle in AXLES)  # flared arches
    floor = 0.19 + 0.1 * eased(x, [(NOSE, 1), (NOSE + 0.35, 0), (TAIL - 0.5, 0), (TAIL, 1)], 0.05)
    shoulder = min(shoulder, top - 0.02)
    rise = top - shoulder
    edge = np.interp(rise, (0.05, 0.5), (0.86 * width, 0.62))  # the roof's rail; on the bonnet, its rim
    corners = np.array([(0, floor), (0.8 * width, floor), (0.96 * width, floor + 0.03), (0.985 * width, floor + 0.1),
                        (0.972 * width, 0.45), (width, shoulder - 0.16), (0.985 * width, shoulder - 0.05),
                        (0.93 * width, shoulder), (0.875 * width + 0.03 * edge, shoulder + 0.1 * rise),
                        (edge, shoulder + 0.86 * rise), (0.75 * edge, shoulder + 0.96 * rise), (0, top)])
    corners[:, 1] = np.maximum.accumulate(corners[:, 1])
    run = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T) + 1e-4)])
    half = np.stack([eased(np.linspace(0, run[-1], 60), np.stack([run, c], 1), 0.035) for c in corners.T], 1)
    half[0, 0] = half[-1, 0] = 0
    return half, width


def car_shell(surface, grow=0.0):
    """The closed skin of the car: sections lofted from nose to tail, then moved outwards by `grow`."""
    rings, ends = [], (0.05, 0.3, 0.6, 0.85, 0.96)  # smaller and smaller sections close both ends
    stations = [(NOSE, s) for s in ends] + [(x, 1) for x in np.linspace(NOSE, TAIL, 110)] + [(TAIL, s) for s in ends[::-1]]
    for x, scale in stations:
        half, width = car_section(x)
        half = half * scale + (0, (1 - scale) * half[[0, -1], 1].mean())
        loop = np.concatenate([half, half[-2:0:-1] * (-1, 1)])
        rings += [(x + eased(x, LAG, 0.2) * (y / width) ** 2, y, z) for y, z in loop]
    n = len(loop)
    faces = [*ring_faces(len(stations), n), range(n), range(len(rings) - 1, len(rings) - 1 - n, -1)]
    shell = build(rings, faces, surface, sharp=50)
    for vertex, normal in zip(shell.data.vertices, [v.normal.copy() for v in shell.data.vertices], strict=True):
        vertex.co += grow * normal
    return shell


def car_body():
    """The painted skin with its openings, and the glass, lights and trim that lie on that skin."""
    matt = {"Specular IOR Level": 0.12}  # sunlight would turn these greys white
    dark, black = material("car inside", (0.015,) * 3, rough=0.8, **matt), material("black", (0.006,) * 3, rough=0.4, **matt)

    def openings():
        yield prism([rounded(w) for w in SIDE_WINDOWS], "y", -1.2, 1.2, dark)
        yield prism([rounded(WINDSCREEN)], "x", -1.3, 0.3, dark)
        yield prism([rounded(REAR_WINDOW)], "x", 0.9, TAIL + 0.2, dark)

    def skin(surface, grow, *outlines_axis_low_high):
        cutter = prism(*outlines_axis_low_high, dark)
        return carve(car_shell(surface, grow), cutter, "INTERSECT", skin_only=True)

    body = car_shell(car_paint())
    pane = thin_glass("car glass", (0.42, 0.46, 0.45))
    for hole, cutter in zip(openings(), openings(), strict=True):
        carve(body, hole, "DIFFERENCE")
        carve(car_shell(pane, -0.004), cutter, "INTERSECT", skin_only=True)
    circle = [(0.365 * math.cos(a), 0.32 + 0.365 * math.sin(a)) for a in np.arange(48) * math.pi / 24]
    for low, high in ((-1.2, -0.6), (0.6, 1.2)):
        carve(body, prism([[(axle + u, v) for u, v in circle] for axle in AXLES], "y", low, high, dark), "DIFFERENCE")
        frame = skin(black, 0.002, [rounded(WINDOW_FRAME, 0.06)], "y", low, high)
        carve(frame, prism([rounded(w) for w in SIDE_WINDOWS], "y", low, high, dark), "DIFFERENCE", skin_only=True)
        skin(black, 0.0015, [gap(door) for door in DOORS], "y", low, high)
    coat = {"Coat Weight": 1.0}
    lens = material("headlight", (0.8, 0.82, 0.85), (0.2, 0.21, 0.23), 0.08, scale=14, bump=0.004, Metallic=0.8, **coat)
    red = material("tail light", (0.5, 0.006, 0.008), (0.25, 0.003, 0.005), 0.12, scale=30, bump=0.002, **coat)
    grille = material("grille", (0.006, 0.006, 0.006), (0.05, 0.05, 0.05), 0.3, scale=30, stretch=(0.2, 0.2, 3))
    skin(lens, 0.003, mirrored(HEADLIGHT), "x", NOSE - 0.1, NOSE + 0.42)
    skin(grille, 0.003, [rounded(g) for g in GRILLES], "x", NOSE - 0.1, NOSE + 0.3)
    skin(red, 0.003, mirrored(TAIL_LIGHT), "x", TAIL - 0.32, TAIL + 0.1)
    skin(dark, 0.003, [rounded(DIFFUSER)], "x", TAIL - 0.3, TAIL + 0.1)
    skin(black, 0.0015, [gap(TAILGATE)], "x", TAIL - 0.3, TAIL + 0.1)


def wheel(x, y):
    """Tyre, rim with five double spokes and brake disc, its face towards the outside of the car."""
    at = Matrix.Translation((x, y, 0.315)) @ Matrix.Rotation(-math.copysign(math.pi / 2, y), 4, "X")
    rubber = material("rubber", (0.01,) * 3, rough=0.8, **{"Specular IOR Level": 0.15})
    alloy = material("alloy", (0.62, 0.63, 0.65), rough=0.25, Metallic=1.0)
    lathe([(0.2, -0.1), (0.27, -0.105), (0.3, -0.09), (0.316, -0.06), (0.316, 0.06), (0.3, 0.092), (0.27, 0.105), (0.222, 0.1),
           (0.21, 0.08)], rubber, at)
    lathe([(0.222, 0.098), (0.218, 0.106), (0.21, 0.104), (0.2, 0.08), (0.19, 0.02), (0.185, -0.06)], alloy, at)
    lathe([(0.2, -0.03), (0.13, -0.03)], rubber, at)
    lathe([(0.14, 0.0), (0.05, 0.0), (0, 0.02)], material("brake", (0.2, 0.19, 0.18), rough=0.4, Metallic=1.0), at)
    lathe([(0.055, 0.05), (0.05, 0.083), (0.03, 0.09), (0, 0.09)], alloy, at)
    for angle in [k * 2 * math.pi / 5 + half for k in range(5) for half in (-0.13, 0.13)]:
        near, far = (at @ Vector((r * math.cos(angle), r * math.sin(angle), h)) for r, h in ((0.03, 0.075), (0.2, 0.082)))
        beam(near, far, 0.026, 0.022, alloy, bevel=0.005)


def car_fittings():
    """Wheels, mirrors, door handles, seats, number plates."""
    dark, white = bpy.data.materials["car inside"], material("plate", (0.75, 0.75, 0.72), rough=0.4)
    seat = fabric("car seat", (0.03, 0.03, 0.032))
    for side in (-1, 1):
        for axle in AXLES:
            wheel(axle, 0.785 * side)
        cushion((-0.6, 1.0 * side, 1.02), (0.13, 0.2, 0.14), car_paint(), wrinkles=0)
        beam((-0.58, 0.84 * side, 0.96), (-0.58, 0.95 * side, 0.98), 0.06, 0.04, dark)
        for x in (0.3, 1.12):
            cushion((x, 0.9 * side, 0.85), (0.2, 0.035, 0.03), car_paint(), wrinkles=0)
        for x in (0.05, 0.95):
            cushion((x, 0.36 * side, 1.0), (0.14, 0.44, 0.4), seat)
            cushion((x + 0.03, 0.36 * side, 1.25), (0.1, 0.26, 0.17), seat)
    for x, z in ((NOSE - 0.01, 0.52), (TAIL + 0.005, 0.66)):
        box((x, 0, z), (0.02, 0.5, 0.11), white)
        letters = (-0.18, -0.12, -0.06, 0.05, 0.11, 0.17)
        boxes([((x + math.copysign(0.011, x), y, z), (0.002, 0.035, 0.07)) for y in letters], dark)


def cars(*parked):
    """Hatchbacks, each (colour, place, turn). Carving one takes seconds, so it is done once and then copied."""
    others = set(bpy.data.objects)
    with labelled("car"):
        car_body()
        car_fittings()
    parts = set(bpy.data.objects) - others
    for color, place, turn in parked:
        with labelled("car", place, turn):
            for part in parts:
                twin = part.copy()
                twin.color = (*color, 1)
                bpy.context.collection.objects.link(twin)
    for part in parts:
        bpy.data.objects.remove(part)


# ---- furniture ------------------------------------------------------------------------------------------------------


def dining_chair(place, turn, timber):
    """Four tapered legs, stretchers, a flat seat and a slatted back that leans."""
    with labelled("chair", place, turn):
        for m in (-1, 1):
            beam((0.2 * m, -0.2, 0), (0.195 * m, -0.19, 0.445), 0.038, 0.038, timber)
            beam((0.19 * m, 0.24, 0), (0.18 * m, 0.19, 0.45), 0.036, 0.038, timber)
            beam((0.18 * m, 0.19, 0.44), (0.185 * m, 0.29, 0.95), 0.034, 0.036, timber)
            beam((0.195 * m, -0.19, 0.2), (0.185 * m, 0.21, 0.2), 0.018, 0.03, timber)
            beam((-0.19, 0.19 * m, 0.41), (0.19, 0.19 * m, 0.41), 0.02, 0.06, timber)
        beam((-0.19, 0.0, 0.2), (0.19, 0.0, 0.2), 0.03, 0.018, timber)
        cushion((0, -0.01, 0.452), (0.45, 0.45, 0.035), timber, roundness=9, puff=0.1, wrinkles=0)
        beam((-0.18, 0.285, 0.92), (0.18, 0.285, 0.92), 0.022, 0.07, timber, 0.008)
        beam((-0.18, 0.22, 0.57), (0.18, 0.22, 0.57), 0.02, 0.045, timber)
        for x in np.linspace(-0.12, 0.12, 5):
            beam((x, 0.218, 0.57), (x * 1.05, 0.283, 0.92), 0.028, 0.011, timber)


def office_chair(place, turn, cloth):
    """Five-star base on castors, gas column, armrests, upholstered seat and a curved back."""
    black, steel = material("plastic", (0.015,) * 3, rough=0.45), material("steel", (0.55,) * 3, rough=0.2, Metallic=1.0)
    with labelled("chair", place, turn):
        for angle in np.arange(5) * 2 * math.pi / 5 + 0.3:
            out, across = np.array(((math.cos(angle), math.sin(angle), 0), (math.sin(angle), -math.cos(angle), 0)))
            hub, castor = 0.03 * out + (0, 0, 0.115), 0.31 * out
            rod(hub, castor + (0, 0, 0.08), 0.026, black, 0.018)
            for side in (-0.016, 0.016):
                rod(castor + (side - 0.01) * across + (0, 0, 0.03), castor + (side + 0.01) * across + (0, 0, 0.03), 0.03, black)
        rod((0, 0, 0.08), (0, 0, 0.25), 0.032, black)
        rod((0, 0, 0.2), (0, 0, 0.42), 0.018, steel)
        box((0, 0.02, 0.415), (0.2, 0.26, 0.04), black, 0.01)
        cushion((0, -0.01, 0.48), (0.52, 0.5, 0.11), cloth, roundness=6, puff=0.2)
        cushion((0, 0.27, 0.86), (0.48, 0.1, 0.6), cloth, roundness=4.5, puff=0.3, lean=-0.17, bend=-0.07)
        beam((0, 0.1, 0.41), (0, 0.29, 0.43), 0.08, 0.02, black)
        beam((0, 0.28, 0.42), (0, 0.33, 0.8), 0.08, 0.02, black)
        for m in (-1, 1):
            beam((0.2 * m, 0.03, 0.42), (0.3 * m, 0.03, 0.44), 0.06, 0.02, black)
            beam((0.3 * m, 0.03, 0.43), (0.31 * m, 0.03, 0.66), 0.02, 0.06, black, 0.008)
            cushion((0.31 * m, 0.0, 0.675), (0.085, 0.29, 0.04), black, wrinkles=0)


def sofa(place, width, cloth):
    with labelled("sofa", place):
        box((0, 0, 0.2), (width - 0.1, 0.8, 0.22), cloth, 0.03)
        cushion((0, 0.34, 0.5), (width - 0.1, 0.24, 0.66), cloth, roundness=8, puff=0.15)
        for m in (-1, 1):
            arm, middle, half = m * (width / 2 - 0.1), m * (width / 4 - 0.1), width / 2 - 0.2
            cushion((arm, -0.02, 0.36), (0.24, 0.92, 0.56), cloth, roundness=8, puff=0.12)
            cushion((middle, -0.09, 0.385), (half, 0.76, 0.19), cloth, roundness=7, puff=0.3)
            cushion((middle, 0.19, 0.66), (half - 0.02, 0.2, 0.46), cloth, puff=0.4, lean=-0.2)
            for y in (-0.3, 0.3):
                rod((arm, y, 0.1), (arm, y, 0), 0.025, material("foot", (0.05, 0.03, 0.02)))
        mustard = fabric("mustard", (0.5, 0.27, 0.03))
        cushion((0.42 - width / 2, -0.02, 0.66), (0.44, 0.16, 0.42), mustard, roundness=4, puff=0.6, lean=-0.35)


def table(place, size, top, legs, thickness=0.06):
    """A top of (width, depth) on four square legs, 0.75 high."""
    (x, y, z), (w, d) = place, np.array(size) / 2 - 0.07
    box((x, y, z + 0.732), (*size, 0.035), top)
    for u, v in ((x + a, y + b) for a in (-w, w) for b in (-d, d)):
        beam((u, v, z), (u, v, z + 0.72), thickness, thickness, legs)


def monitor(place, width, height):
    """A flat screen on a foot."""
    case = material("monitor case", (0.01, 0.01, 0.011), rough=0.3)
    with labelled("tvmonitor", place):
        box((0, 0, height / 2 + 0.09), (width, 0.05, height), case)
        panel = (width - 0.04, 0.005, height - 0.05)
        box((0, -0.027, height / 2 + 0.095), panel, material("screen", (0.006, 0.007, 0.01), rough=0.06), 0)
        box((0, 0, 0.05), (0.1, 0.06, 0.12), case)
        box((0, 0, 0.008), (width * 0.4, 0.22, 0.015), case)


def pot_plant(place, height):
    clay, rim = material("pot", (0.45, 0.2, 0.11), (0.55, 0.27, 0.16), 0.8, scale=9), height * 0.3
    outline = ((0, 0), (0.36, 0), (0.48, 1), (0.53, 1), (0.53, 0.9), (0.45, 0.88), (0, 0.88))
    with labelled("pottedplant", place):
        lathe([(r * rim, z * rim) for r, z in outline], clay, (0, 0, 0))
        roots = (0, 0, rim * 0.85) + rng.normal(0, rim * 0.1, (46, 3)) * (1, 1, 0)
        blades(roots, height * 0.75, height * 0.065, leaves("plant", (0.03, 0.12, 0.02)))


def wine_bottle(place):
    green = material("bottle", (0.01, 0.035, 0.012), rough=0.05, **{"Coat Weight": 1.0})
    with labelled("bottle"):
        lathe([(0, 0), (0.036, 0), (0.038, 0.01), (0.038, 0.19), (0.03, 0.22), (0.015, 0.245), (0.0135, 0.3)], green, place)
        lathe([(0.0385, 0.06), (0.0388, 0.15)], material("label", (0.75, 0.7, 0.58), rough=0.7), place)
        capsule = [(0.0145, 0.255), (0.0142, 0.3), (0.0168, 0.302), (0.0168, 0.313), (0, 0.3135)]
        lathe(capsule, material("capsule", (0.2, 0.01, 0.02), rough=0.35), place)


# ---- places ---------------------------------------------------------------------------------------------------------


def sky(elevation, turn, strength):
    """A physical sky with the sun in it, and soft clouds by noise on the view direction."""
    bpy.context.scene.world = world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    tree = world.node_tree
    sun = {"sun_elevation": math.radians(elevation), "sun_rotation": math.radians(turn), "sun_size": math.radians(1.5)}
    air = node(tree, "TexSky", {}, sky_type="NISHITA", **sun)
    way = node(tree, "VectorMath", {0: node(tree, "TexCoord", {}, "Generated"), 1: (1, 1, 3)}, operation="MULTIPLY")
    puffs = node(tree, "TexNoise", {"Vector": way, "Scale": 2.2, "Detail": 8.0, "Roughness": 0.6})
    cover = node(tree, "MapRange", {0: puffs, 1: 0.48, 2: 0.7, 4: 0.5})
    connect(tree, tree.nodes["Background"], 0, node(tree, "MixRGB", {0: cover, 1: air, 2: (7.0, 7.2, 7.6)}))
    tree.nodes["Background"].inputs[1].default_value = strength


def camera(place, target, lens, fstop):
    """A full-frame camera focused on the target."""
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width, data.dof.use_dof, data.dof.aperture_fstop = lens, 36, True, fstop
    data.dof.focus_distance = math.dist(place, target)
    bpy.context.scene.camera = made = bpy.data.objects.new("camera", data)
    bpy.context.collection.objects.link(made)
    made.matrix_basis = aim(place, target, "-Z")


def brick_wall():
    return material("brick", (0.27, 0.09, 0.055), (0.36, 0.15, 0.09), 0.9, scale=2.2, bump=0.008, bricks=True)


def road_lines(places):
    boxes(places, material("road paint", (0.65, 0.65, 0.62), (0.35, 0.35, 0.33), 0.7, scale=30))


def street(length, kerbs):
    """Asphalt, and along x at each y of `kerbs` kerb stones with two metres of paving behind them."""
    asphalt = material("asphalt", (0.035, 0.035, 0.037), (0.11, 0.108, 0.105), 0.85, scale=70, contrast=0.8, bump=0.004)
    stone = material("kerb", (0.28, 0.27, 0.25), (0.4, 0.38, 0.36), 0.9, scale=20, vary=0.12, bump=0.004)
    slab = material("paving", (0.25, 0.24, 0.22), (0.36, 0.34, 0.32), 0.9, scale=12, vary=0.1, bump=0.003)
    box((0, 0, -0.5), (length * 3, length * 3, 1), asphalt)
    for y in kerbs:
        out, stones = math.copysign(1, y), np.arange(length) - length / 2
        boxes([((x, y + out * 0.07, 0.04), (0.992, 0.14, 0.18)) for x in stones], stone, 0.015)
        rows = [y + out * (0.39 + 0.5 * row) for row in range(4)]
        boxes([((x + half, row, 0.045), (0.494, 0.494, 0.15)) for x in stones for half in (0, 0.5) for row in rows], slab, 0.004)


def house(x, y, width, height, facing, wall):
    """A two-storey house whose front stands at (x, y) and looks towards -y or y (`facing` -1 or 1)."""
    frame, pane = material("window frame", (0.7, 0.7, 0.68)), material("pane", (0.02, 0.025, 0.03), rough=0.03)
    curtain = material("curtain", (0.5, 0.48, 0.44), (0.65, 0.62, 0.58), 0.9, scale=20, stretch=(1, 1, 0.05))
    tiles = material("tiles", (0.16, 0.05, 0.03), (0.24, 0.09, 0.06), 0.85, scale=2.5, bump=0.01, bricks=True)
    box((x, y - facing * 3, height / 2), (width, 6, height), wall)
    box((x, y + facing * 0.02, 1.1), (1.0, 0.1, 2.2), material("door", (0.05, 0.09, 0.07), rough=0.35))
    bars = ((0, 0.7, 1.3, 0.1, 0.08), (0, -0.7, 1.4, 0.2, 0.08), (-0.62, 0, 0.07, 0.1, 1.4), (0.62, 0, 0.07, 0.1, 1.4),
            (0, 0, 0.05, 0.08, 1.4))
    for u, z in ((-1, 1.5), (1, 1.5), (-1, 4.2), (0, 4.2), (1, 4.2)):
        u = x + u * width / 3
        boxes([((u + a, y + facing * 0.03, z + b), size) for a, b, *size in bars], frame, 0.004)
        box((u, y + facing * 0.012, z), (1.2, 0.02, 1.36), pane, bevel=0)
        boxes([((u + a, y + facing * 0.016, z), (0.3, 0.02, 1.3)) for a in (-0.42, 0.42)], curtain)
    slope = ((-3.4, height - 0.1), (0, height + 2.2), (3.4, height - 0.1))
    ridge = [(x + end * (width / 2 + 0.3), y - facing * 3 + v, z) for end in (-1, 1) for v, z in slope]
    build(ridge, [(0, 1, 4, 3), (1, 2, 5, 4), (0, 2, 1), (3, 4, 5)], tiles)


def tree(x, y, height):
    bark = material("bark", (0.05, 0.035, 0.025), (0.14, 0.11, 0.08), 0.95, scale=14, stretch=(1, 1, 0.2), bump=0.03)
    rod((x, y, 0), (x + 0.1, y, height * 0.55), 0.17, bark, 0.1)
    tips = rng.normal((x, y, height * 0.72), height * np.array((0.15, 0.15, 0.1)), (20, 3))
    for tip in tips:
        rod((x + 0.08, y, height * rng.uniform(0.35, 0.5)), tip, 0.06, bark, 0.015)
    foliage(tips, height * rng.uniform(0.1, 0.17, (20, 1)) * (1, 1, 0.75), 24000, 0.13, leaves())


def hedge(low, high, y, height, depth=0.7):
    middle, length = (low + high) / 2, high - low
    core = material("hedge core", (0.008, 0.014, 0.004), rough=1.0)
    box((middle, y, height / 2 - 0.1), (length, depth - 0.25, height - 0.2), core)
    clumps = rng.uniform((low, y - 0.1, 0.1), (high, y + 0.1, height - 0.1), (int(length * 26), 3))
    foliage(clumps, [(0.28, depth / 2, 0.2)] * len(clumps), int(length * height * 7000), 0.06, leaves())


def room(width, depth, wall, floor, height=2.6):
    """Back wall at y=0, left wall at x=-width/2 with a window, right wall and ceiling; open behind the camera."""
    white = material("gloss white", (0.78, 0.77, 0.74), rough=0.3)
    left, sill, lintel = -width / 2 - 0.1, 0.9, 2.2
    starts = rng.uniform(-0.7, 0.7, int(width / 0.14) + 2)
    planks = [(0.14 * i - width / 2, start - 1.5 * j, -0.01) for i, start in enumerate(starts) for j in range(int(depth / 1.5) + 2)]
    boxes([(plank, (0.1385, 1.498, 0.02)) for plank in planks], floor, 0.0012)
    boxes([((0, 0.05, height / 2), (width, 0.1, height)), ((-left - 0.05, -depth / 2, height / 2), (0.1, depth, height)),
           ((left, -depth / 2, sill / 2), (0.2, depth, sill)), ((left, -0.3, height / 2), (0.2, 0.6, height)),
           ((left, -depth / 2, (lintel + height) / 2), (0.2, depth, height - lintel)),
           ((left, -depth / 2 - 1.1, height / 2), (0.2, depth - 2.2, height))], wall)
    boxes([((0, -depth / 2, height + 0.05), (width, depth, 0.1)), ((0, -0.01, 0.06), (width, 0.02, 0.12))]
          + [((x, -depth / 2, 0.06), (0.02, depth, 0.12)) for x in (0.01 - width / 2, width / 2 - 0.01)]
          + [((left, -1.4, z), (0.07, 1.7, 0.06)) for z in (sill + 0.03, 1.75, lintel - 0.03)]
          + [((left, -y, (sill + lintel) / 2), (0.07, 0.06, lintel - sill)) for y in (0.63, 1.4, 2.17)], white, 0.004)
    lamp = bpy.data.lights.new("light from the window", "AREA")
    lamp.shape, lamp.size, lamp.size_y, lamp.energy, lamp.color = "RECTANGLE", 1.5, 1.3, 60, (0.85, 0.93, 1.0)
    made = bpy.data.objects.new("light", lamp)
    bpy.context.collection.objects.link(made)
    made.matrix_basis = aim((left - 0.3, -1.4, 1.55), (0, -1.4, 0.8), "-Z")


def plaster(color):
    return material("plaster", color, tuple(c + 0.04 for c in color), 0.9, scale=40, bump=0.0015)


def floorboards(light, dark):
    return wood("floor", light, dark, 0.35, (1, 0.06, 1), vary=0.16)


def rug(x, y, width, depth, border, middle):
    for inset, color in ((0, border), (0.12, middle)):
        pile = fabric(f"rug {inset}", color, 120)
        box((x, y, 0.006 + inset / 60), (width - 2 * inset, depth - 2 * inset, 0.012), pile)


def picture(x, z, width, height, colors):
    """A framed abstract on the back wall."""
    parts = ((0, (0.03, 0.025, 0.02), None), (0.04, (0.75, 0.74, 0.7), None), (0.16, *colors))
    for inset, one, other in parts:
        surface = material(f"picture {inset}", one, other, 0.7, scale=3.5, contrast=0.15)
        box((x, -0.012 - inset / 20, z), (width - inset, 0.024, height - inset), surface, 0)


# ---- scenes: each builds itself and returns its exposure, in stops --------------------------------------------------


def chair_dining():
    sky(32, -62, 0.12)
    room(4.4, 5, plaster((0.62, 0.59, 0.53)), floorboards((0.42, 0.25, 0.12), (0.24, 0.125, 0.05)))
    rug(0.15, -1.55, 2.3, 1.6, (0.12, 0.02, 0.02), (0.3, 0.25, 0.18))
    picture(0.75, 1.5, 0.6, 0.8, ((0.05, 0.12, 0.2), (0.6, 0.4, 0.2)))
    dining_chair((0.05, -1.45, 0.014), 28, wood("beech", (0.42, 0.2, 0.075), (0.22, 0.09, 0.03), 0.35))
    camera((0.7, -3.6, 1.05), (0.06, -1.4, 0.47), 45, 2.8)
    return 1.7


def chair_office():
    sky(35, -65, 0.12)
    room(4.6, 5, plaster((0.5, 0.55, 0.56)), floorboards((0.5, 0.36, 0.22), (0.33, 0.21, 0.11)))
    walnut = wood("walnut", (0.22, 0.11, 0.05), (0.1, 0.045, 0.02), 0.35, (0.06, 1, 1))
    table((0.85, -0.42, 0), (1.7, 0.72), walnut, material("black steel", (0.02, 0.02, 0.02)), 0.04)
    monitor((0.95, -0.3, 0.75), 0.6, 0.36)
    books = material("books", (0.35, 0.06, 0.04), (0.05, 0.1, 0.25), 0.6, scale=2, vary=0.6)
    boxes([((1.5, -0.3, 0.768 + 0.035 * k), (0.24 - 0.01 * k, 0.17, 0.032)) for k in range(4)], books, 0.002)
    picture(1.0, 1.75, 0.8, 0.55, ((0.6, 0.5, 0.35), (0.1, 0.25, 0.2)))
    office_chair((-0.1, -1.45, 0), -35, fabric("blue cloth", (0.02, 0.05, 0.12)))
    camera((-0.45, -3.85, 1.2), (0.12, -1.3, 0.6), 42, 2.8)
    return 1.8


def car_side():
    sky(38, 150, 0.1)
    street(60, (1.2,))
    road_lines([((0, -0.95, -0.002), (60, 0.1, 0.012))])
    house(3.5, 8, 12, 6, -1, brick_wall())
    house(-10, 8.5, 11, 6, -1, plaster((0.6, 0.55, 0.45)))
    hedge(-9, 1.4, 3.75, 1.3)
    box((6.4, 3.7, 0.45), (10, 0.24, 0.9), brick_wall())
    box((6.4, 3.7, 0.93), (10.1, 0.32, 0.08), material("coping", (0.4, 0.38, 0.35), rough=0.9))
    tree(-4.6, 5.6, 6)
    for x in (-16, 2, 17):  # behind the camera, for the paint to mirror
        house(x, -17, 12, 6, 1, brick_wall())
    cars(((0.27, 0.006, 0.008), (0, 0.1, 0), 0))
    camera((-1.7, -6.2, 1.4), (-0.05, 0, 0.74), 42, 5.6)
    return 0.2


def car_street():
    sky(42, 215, 0.1)
    street(120, (5, -5))
    road_lines([((6 * k - 40, 0, 0.003), (3, 0.12, 0.008)) for k in range(18)])
    walls = (brick_wall(), plaster((0.62, 0.56, 0.44)), brick_wall())
    for k in range(9):
        for side in (-1, 1):
            house(9.2 * k - 14, side * 11, 9, rng.uniform(5.6, 6.6), -side, walls[(k + (side > 0)) % 3])
    for x, y in ((5, 6.6), (17, 6.5), (31, 6.7), (7, -6.7), (20, -6.5), (34, -6.7)):
        tree(x, y, rng.uniform(5, 6.5))
    cars(((0.14, 0.145, 0.155), (5.0, -1.4, 0), 180), ((0.02, 0.07, 0.25), (3.2, -3.9, 0), 180),
         ((0.7, 0.7, 0.68), (13, 1.6, 0), 0), ((0.02, 0.1, 0.06), (5.5, 4.0, 0), 0))
    camera((-5.6, -1.3, 1.4), (6, -1.5, 0.95), 36, 8)
    return 0.6


def living_room():
    sky(30, -60, 0.12)
    room(5.6, 6, plaster((0.6, 0.6, 0.55)), floorboards((0.4, 0.25, 0.13), (0.25, 0.14, 0.06)))
    rug(-0.3, -1.9, 2.6, 1.7, (0.03, 0.05, 0.09), (0.36, 0.33, 0.27))
    sofa((-0.75, -0.55, 0), 2.1, fabric("grey cloth", (0.16, 0.17, 0.18)))
    pot_plant((-2.15, -0.55, 0), 1.35)
    picture(-0.75, 1.6, 1.1, 0.7, ((0.5, 0.2, 0.08), (0.08, 0.2, 0.28)))
    box((1.55, -0.3, 0.25), (1.5, 0.42, 0.42), material("gloss white", (0.78, 0.77, 0.74), rough=0.3))
    monitor((1.55, -0.32, 0.46), 1.15, 0.68)
    timber, top = (wood(n, (0.42, 0.22, 0.09), (0.25, 0.11, 0.04), 0.35, g) for n, g in (("beech", (1, 1, 0.06)), ("top", (0.06, 1, 1))))
    with labelled("diningtable"):
        table((0.35, -2.15, 0), (1.3, 0.8), top, timber)
    wine_bottle((0.15, -2.25, 0.75))
    dining_chair((1.25, -2.3, 0), -100, timber)
    camera((-0.35, -5.5, 1.5), (0.0, -1.4, 0.68), 36, 4)
    return 1.8


SCENES = {"chair-dining": chair_dining, "chair-office": chair_office, "car-side": car_side, "car-street": car_street,
          "living-room": living_room}


# ---- pictures and masks ---------------------------------------------------------------------------------------------


def render_photo(path, exposure, samples):
    """Path-trace and denoise, then add what a camera adds: contrast, vignetting and a little grain."""
    scene, view = bpy.context.scene, bpy.context.scene.view_settings
    scene.cycles.samples, scene.cycles.seed, scene.cycles.adaptive_threshold = samples, 7, 0.02
    scene.cycles.use_denoising, scene.cycles.denoiser = True, "OPENIMAGEDENOISE"
    scene.cycles.max_bounces, scene.cycles.sample_clamp_indirect = 6, 6.0
    view.view_transform, view.look, view.exposure = "AgX", "AgX - Punchy", exposure
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = f"{folder}/photo.png"
        bpy.ops.render.render(write_still=True)
        photo = bpy.data.images.load(scene.render.filepath)
        width, height = photo.size
        pixels = np.array(photo.pixels, np.float32).reshape(height, width, 4)
    pixels[..., :3] = 0.5 * pixels[..., :3] + 0.5 * (3 - 2 * pixels[..., :3]) * pixels[..., :3] ** 2  # contrast
    v, u = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    pixels[..., :3] *= (1 - 0.1 * (u**2 + v**2))[..., None]
    pixels[..., :3] += rng.normal(0, 0.013, (height, width, 1)) + rng.normal(0, 0.006, (height, width, 3))
    developed = bpy.data.images.new("developed", width, height)
    developed.pixels, developed.file_format = pixels.clip(0, 1).ravel(), "WEBP"
    developed.save(filepath=str(path), quality=88)


def render_mask(path):
    """Draw every object in the flat shade of its class value: one sample a pixel, no filter, lens blur or tone curve."""
    scene, view = bpy.context.scene, bpy.context.scene.view_settings
    flat = bpy.data.materials.new("class value")
    flat.use_nodes = True
    tree = flat.node_tree
    tree.nodes.clear()
    value = node(tree, "Math", {0: node(tree, "ObjectInfo", {}, "Object Index"), 1: 255.0}, operation="DIVIDE")
    node(tree, "OutputMaterial", {0: node(tree, "Emission", {"Color": value})})
    bpy.context.view_layer.material_override, scene.world = flat, None
    scene.camera.data.dof.use_dof = False
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.max_bounces, scene.cycles.filter_width = 1, False, 0, 0.01
    view.view_transform, view.look, view.exposure, scene.render.dither_intensity = "Raw", "None", 0, 0
    scene.render.image_settings.color_mode, scene.render.filepath = "BW", str(path)
    bpy.ops.render.render(write_still=True)


def main():
    global rng
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", default=list(SCENES), help=f"of {', '.join(SCENES)}")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--draft", action="store_true", help="half the size, few samples")
    options = parser.parse_args()
    if unknown := set(options.scenes) - set(SCENES):
        parser.error(f"there is no scene {', '.join(sorted(unknown))}")
    folders = [options.out / "test" / kind for kind in ("images", "masks")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    (options.out / "dataset.json").write_text(json.dumps({"classes": CLASSES, "ignore_index": 255}) + "\n")
    for name in options.scenes:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        rng = np.random.default_rng(0)
        bpy.context.scene.render.engine = "CYCLES"
        render = bpy.context.scene.render
        render.resolution_x, render.resolution_y, render.resolution_percentage = 640, 480, 50 if options.draft else 100
        exposure = SCENES[name]()
        render_photo(folders[0] / f"{name}.webp", exposure, 12 if options.draft else 40)
        render_mask(folders[1] / f"{name}.png")


if __name__ == "__main__":
    main()
