#warning ]0;owned[2J31m؜‮ ⁦
#error "]0;owned2J"
